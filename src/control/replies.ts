/** The data behind the verbs' texts, as `--json` clients get it. Types only: the daemon fills them, the CLI and the tests read them. */

export interface PortReply {
  name: string
  /** Datapath port number; absent for a patch port. */
  no?: number
  bridge?: string
  ofport?: number
  kind: 'internal' | 'tap' | 'packet' | 'representor' | 'patch' | 'memory' | 'vxlan'
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

export interface RouteReply {
  prefix: string
  /** Added by hand. */
  user?: true
  /** Of packets with this mark alone. */
  mark?: number
  table: number
  /** 'unicast', 'local', 'blackhole', ... */
  type: string
  metric: number
  tos?: number
  src?: string
  mtu?: number
  /** Empty for a route that refuses. */
  nexthops: { dev: string; via?: string; weight: number }[]
}

export interface NeighbourReply {
  address: string
  /** Absent while unknown. */
  mac?: string
  /** Whose internal port it is at. */
  bridge: string
  /** 'REACHABLE', 'STALE', ..., as iproute2 prints it. */
  state: string
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
  /** Put before its first packet came. */
  preinstalled?: true
  eswitch?: string
  /** Reason code of a refusal, and the sentence that explains it. */
  reason?: string
  why: string
}

/** One way of a tunnelled flow. */
export interface TunnelFactReply {
  direction: 'encap' | 'decap'
  peer: string
  local?: string
  /** By which outer packets leave, or are expected. */
  ports: string[]
  /** Of the encap entry. */
  entry?: number
  state: string
  detail?: string
  /** All of it as a clause. */
  text: string
}

export interface WhyReply extends FlowReply {
  /** What makes a refused flow be offered again. */
  retryOn?: string[]
  tunnels?: TunnelFactReply[]
}

export interface OffloadEventReply {
  /** 'route', 'rule', 'address', 'link', 'neighbour', 'mtu', 'bridge', 'resync'. */
  kind: string
  text: string
  /** Seconds. */
  age: number
  /** Ways looked up again; flows looked at; of those, how many moved, were refused, are offloaded again. */
  peers: number
  flows: number
  moved: number
  refused: number
  offloaded: number
  /** From the cause until all of it is applied; null: not yet. */
  micros: number | null
}

export interface OffloadEventsReply {
  /** Since the start: causes that concerned tunnelled flows, and causes that concerned none. */
  total: number
  idle: number
  /** Oldest first. */
  events: OffloadEventReply[]
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
  /** Flows of tunnels, encap entries, and what events did to them since the start. */
  tunnels: {
    endpoints: number
    encap: number
    decap: number
    entries: number
    held: number
    pending: number
    events: number
    idle: number
    flows: number
    moved: number
    refused: number
    offloaded: number
    /** Microseconds. */
    slowest: number
  }
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
