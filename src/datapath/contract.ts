/**
 * Tier 2's contract: what the layers above (offload, ofproto) see of the datapath.
 *
 * A datapath has ports and a table of flows, and no intelligence of its own. A flow is a match (key and mask), mutually exclusive with all other
 * flows, and a list of actions. A packet that no flow matches becomes an *upcall*: its frame goes to the main thread, which answers with the actions for
 * this one packet and, normally, a flow for the next ones. While an upcall is outstanding, frames of the same microflow (ingress port, addresses,
 * protocol, ports) wait behind it inside the datapath, so that order within a microflow is kept and one upcall is made, not many.
 *
 * Everything here is called by the main thread and applied by the worker later, in the order of the calls: a flow put before an `upcallDone` is
 * there when the packet is answered. `barrier()` tells when all of it has been applied.
 *
 * Foreign slots: a frame that came up from an eswitch stays in that eswitch's slot only within the datapath's batch, in the rings, and in the queue behind the ring up, where it
 * waits for room below. Upcalls, and frames for another NIC, are copied into slots of the datapath. So when an eswitch worker dies, all its slots are free after its rings and that queue are drained.
 */
import type { EncapEntry } from '../flow/encap.ts'
import type { Match } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { Arena, SlotPool } from '../packet/slot.ts'

/**
 * 'internal': a bridge's LOCAL TAP, or, where no host's stack owns it, nothing. 'representor': the datapath's end of a VF or uplink whose TAP belongs to an eswitch. 'vxlan': where `tnl_pop` delivers; one for
 * each UDP port that tunnels use, without a descriptor.
 */
export type DpPortKind = 'internal' | 'tap' | 'packet' | 'representor' | 'memory' | 'vxlan'

export interface DpPort {
  /** 0..MAX_PORTS - 1, never reused while frames may still carry it. */
  readonly no: number
  readonly name: string
  readonly kind: DpPortKind
  /** Name of the eswitch, for a representor. */
  readonly eswitch?: string
}

export interface DpFlow {
  /** From `flowNew()`; names the flow in commands and statistics. */
  readonly id: number
  /** 'ufid:' form without the prefix: 8-4-4-4-12 hexadecimal digits. */
  readonly ufid: string
  /** in_port is always exact, K_IN_PORT holds a datapath port number; words from K_PIPE on are zero. */
  readonly match: Match
  readonly actions: readonly OdpAction[]
}

/** As on the wire: segments with their headers. */
export interface FlowStats {
  packets: number
  bytes: number
  /** Clock milliseconds of the last packet; 0: never used. */
  used: number
  /** All TCP flags seen, or-ed. */
  tcpFlags: number
}

export interface DpifCounters {
  /** Frames that tier 2 has handled (received, from whatever source). Stands still when all traffic is offloaded. */
  frames: number
  /** Look-ups answered by the exact-match cache, by a megaflow, by nothing. */
  cacheHits: number
  flowHits: number
  misses: number
  /** Upcalls sent to tier 1. */
  upcalls: number
  /** Masks in use, and masks looked at over all look-ups beyond the exact-match cache. */
  masks: number
  maskHits: number
  flows: number
}

export interface Dpif {
  readonly arena: Arena
  /** The main thread's own slots, for `execute`. */
  readonly pool: SlotPool

  /** Highest number of flows; flows beyond it are not accepted. */
  readonly flowLimit: number
  setFlowLimit(flows: number): void

  /** A fresh id, or -1 when the limit is reached. */
  flowNew(): number
  /** Inserts, or replaces (same id, same match) atomically at a batch boundary; statistics go on. */
  flowPut(flow: DpFlow): void
  /** Removes. `gone` is called when the worker has done so, with the final statistics; then the id is free. */
  flowDel(id: number, gone?: (final: FlowStats) => void): void
  flow(id: number): DpFlow | undefined
  flows(): Iterable<DpFlow>
  readonly flowCount: number
  /** Fills `out` with statistics so far, of every tier that carries the flow; false when there is no such flow. */
  flowStats(id: number, out: FlowStats): boolean

  /**
   * Sets who answers upcalls. The slot is the datapath's and lent to main until `upcallDone`; M_PORT is the ingress; other metadata as at the miss.
   * The handler must answer each one, in any order.
   */
  onUpcall(handler: (slot: number) => void): void
  /** Answers an upcall: runs `actions` on its packet, then lets the frames that waited behind it be looked up. */
  upcallDone(slot: number, actions: readonly OdpAction[]): void
  /** Runs actions on a packet of main's `pool` (packet-out); takes the slot over and gives it back to the pool. */
  execute(slot: number, actions: readonly OdpAction[]): void

  /**
   * Puts an encap entry, new or changed. All flows that name it follow at one batch boundary; packets that waited for it go on, in order, when it is 'ready', and are
   * counted drops when it is 'drop'. Of each next hop the first 64 packets wait, at most 1 s. An entry is put before a flow that names it.
   */
  encapPut(entry: EncapEntry): void
  /** Removes an entry that no flow names any more. */
  encapDel(id: number): void
  /**
   * Sets who takes packets that are too big for the underlay of entry `encap`: not encapsulated yet, the slot lent as for an upcall and given back by `upcallDone`. For a super-frame its
   * segments count. Later packets of the same microflow wait until then. `upcallDone` without actions: main has dealt with it (sent it in pieces); with a `drop`: counted as 'tunnel-mtu'.
   * Without a handler all are.
   */
  onTooBig(handler: (slot: number, encap: number) => void): void

  /** Resolves when the worker has applied every call made before. Never rejects: of a worker that is lost it is not heard again, and the switch ends. */
  barrier(): Promise<void>
  counters(out: DpifCounters): void

  ports(): Iterable<DpPort>
  port(no: number): DpPort | undefined
}
