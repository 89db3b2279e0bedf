/** Counting as on the wire: a super-frame is as many packets as it will be cut into, each with its headers. */
import {
  GSO_ECN,
  GSO_NONE,
  GSO_UDP,
  GSO_UDP_L4,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_HDR_LEN,
  M_LEN,
  M_OFF,
  M_VFLAGS,
  META_WORDS,
  VNET_F_NEEDS_CSUM,
} from '../packet/slot.ts'
import { PORT_STAT_WORDS, PS_DROPS } from './contract.ts'

/** Length of all headers that each segment repeats. `m` is the slot's first metadata word; the frame is a super-frame. */
const headerLength = (bytes: Uint8Array, meta: Int32Array, m: number): number => {
  const len = meta[m + M_LEN]!
  if ((meta[m + M_VFLAGS]! & VNET_F_NEEDS_CSUM) === 0) return Math.min(meta[m + M_HDR_LEN]!, len)
  const start = meta[m + M_CSUM_START]!
  const base = meta[m + M_GSO_TYPE]! & 7
  if (base === GSO_UDP_L4) return Math.min(start + 8, len)
  // Fragmented: the transport header is part of the payload.
  if (base === GSO_UDP) return Math.min(start, len)
  if (start + 13 > len) return len
  return Math.min(start + (bytes[meta[m + M_OFF]! + start + 12]! >>> 4) * 4, len)
}

/** Packets that the slot's frame is on the wire. */
export const wirePackets = (bytes: Uint8Array, meta: Int32Array, slot: number): number => {
  const m = slot * META_WORDS
  if ((meta[m + M_GSO_TYPE]! & ~GSO_ECN) === GSO_NONE) return 1
  const size = meta[m + M_GSO_SIZE]!
  const payload = meta[m + M_LEN]! - headerLength(bytes, meta, m)
  return size <= 0 || payload <= size ? 1 : Math.ceil(payload / size)
}

/** Bytes of those packets, without FCS. */
export const wireBytes = (bytes: Uint8Array, meta: Int32Array, slot: number, packets: number): number => {
  const m = slot * META_WORDS
  return packets === 1 ? meta[m + M_LEN]! : meta[m + M_LEN]! + (packets - 1) * headerLength(bytes, meta, m)
}

/** Longest single packet of the frame once it is cut. */
export const wireLargest = (bytes: Uint8Array, meta: Int32Array, slot: number): number => {
  const m = slot * META_WORDS
  const len = meta[m + M_LEN]!
  if ((meta[m + M_GSO_TYPE]! & ~GSO_ECN) === GSO_NONE || meta[m + M_GSO_SIZE]! <= 0) return len
  return Math.min(len, headerLength(bytes, meta, m) + meta[m + M_GSO_SIZE]!)
}

/** Adds one frame to the counters (PS_*) at `stat` and `stat + 1` and to the frame count at `frames`. */
export const countFrame = (
  stats: Float64Array,
  no: number,
  packetsAt: number,
  framesAt: number,
  bytes: Uint8Array,
  meta: Int32Array,
  slot: number,
): void => {
  const s = no * PORT_STAT_WORDS
  const packets = wirePackets(bytes, meta, slot)
  stats[s + packetsAt] = stats[s + packetsAt]! + packets
  stats[s + packetsAt + 1] = stats[s + packetsAt + 1]! + wireBytes(bytes, meta, slot, packets)
  stats[s + framesAt] = stats[s + framesAt]! + 1
}

/** Adds `n` to a port's drop counter (index from dropIndex). */
export const countDrop = (stats: Float64Array, no: number, reason: number, n = 1): void => {
  const at = no * PORT_STAT_WORDS + PS_DROPS + reason
  stats[at] = stats[at]! + n
}
