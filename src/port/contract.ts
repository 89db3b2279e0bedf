/**
 * A port: where frames come from and go to. Implementations: tap, afpacket, memory (tests); decorators: capture, fault. Also the shared
 * counters of ports.
 *
 * A port object lives in the worker that polls it; the main thread opened its descriptor and owns that (DESIGN section 2). All calls are made by the polling thread.
 */
import type { SlotPool } from '../packet/slot.ts'
import { DROP_WORDS } from './drop.ts'

export interface Port {
  readonly name: string
  /** For epoll; -1 when there is none (memory ports are polled). */
  readonly fd: number
  /**
   * Reads about `max` frames into slots of `pool`, at most RX_ROOM - RX_BATCH more; writes their indices to `out`, which has RX_ROOM places; returns how many. Frames are stamped with `no`. Receive drops are
   * counted in `counters` by the port itself.
   */
  rx(pool: SlotPool, no: number, out: Int32Array, max: number): number
  /** Writes frames slots[from .. from + n); they stay the caller's and are left unchanged. Transmit drops are counted by the port itself. */
  tx(slots: Int32Array, from: number, n: number): void
  /** True after the descriptor turned out dead (namespace gone): to be unregistered, not spun upon. */
  readonly dead: boolean
}

/**
 * Shared statistics of one thread's view of ports: Float64Array, PORT_STAT_WORDS per port number. Written by that thread alone, read by main.
 * Packets and bytes as on the wire: a super-frame counts as the segments it will be cut into, each with its headers.
 */
export const PS_RX_PACKETS = 0
export const PS_RX_BYTES = 1
export const PS_TX_PACKETS = 2
export const PS_TX_BYTES = 3
/** Frames as read and written (super-frames count one). */
export const PS_RX_FRAMES = 4
export const PS_TX_FRAMES = 5
/** Then DROP_WORDS counters in the order of DROP_REASONS. */
export const PS_DROPS = 8
export const PORT_STAT_WORDS = PS_DROPS + DROP_WORDS

/** Highest number of datapath ports. Port numbers are 0..MAX_PORTS - 1. */
export const MAX_PORTS = 1024

export const createPortStats = (): Float64Array =>
  new Float64Array(new SharedArrayBuffer(MAX_PORTS * PORT_STAT_WORDS * 8))
