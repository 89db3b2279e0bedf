/** The data behind the verbs' texts, as `--json` clients get it. Types only: the daemon fills them, the CLI and the tests read them. */

export interface PortReply {
  name: string
  /** Datapath port number; absent for a patch port. */
  no?: number
  bridge?: string
  ofport?: number
  kind: 'internal' | 'tap' | 'packet' | 'representor' | 'patch' | 'memory'
  eswitch?: string
  role?: 'vf' | 'uplink'
  netns?: string
  mtu?: number
  mac?: string
  /** Administrative state, and whether the other side is there. */
  admin: 'up' | 'down'
  link: 'up' | 'down'
  /** The interface or its namespace was deleted; a reload opens the port again. */
  gone?: true
  /** What the TAP negotiated, e.g. ['csum', 'tso4']. */
  offloads?: string[]
  rxPackets: number
  rxBytes: number
  txPackets: number
  txBytes: number
  /** Only reasons that were met. */
  drops: Record<string, number>
}

export interface FlowReply {
  ufid: string
  match: string
  actions: string
  packets: number
  bytes: number
  /** Seconds since the last packet; null: never used. */
  used: number | null
  offloaded: boolean
  eswitch?: string
  /** Reason code of a refusal, and the sentence that explains it. */
  reason?: string
  why: string
}

export interface EswitchReply {
  name: string
  switchId: string
  state: string
  profile: string
  rules: number
  capacity: number
  ports: { name: string; role: string; link: string }[]
  insertions: number
  evictions: number
  refusals: Record<string, number>
  restarts: number
}

export interface OffloadReply {
  enabled: boolean
  offloaded: number
  refused: number
  byReason: Record<string, number>
}

export interface DpifReply {
  name: string
  hits: number
  misses: number
  frames: number
  flows: number
  bridges: { name: string; ports: { name: string; ofport: number; no?: number; type: string }[] }[]
}

export interface FdbEntry {
  port: number
  name: string
  vlan: number
  mac: string
  /** Seconds. */
  age: number
}
