/**
 * Frame slots: the memory that frames live in, shared by all threads.
 *
 * One arena (`Uint8Array` on a SharedArrayBuffer) is cut into slots of two classes: small (one MTU frame) and big (a 64 KiB
 * super-frame). Each slot has a fixed block of META_WORDS 32-bit words in `meta`. A slot belongs to one *owner*, the thread whose
 * pool it came from, for ever; at any moment exactly one thread holds it. A foreign slot never outlives the holder's
 * batch except in the ring back to its owner, so that a dead worker's slots are all accounted for (see datapath/contract.ts).
 *
 * The native addon reads and writes `meta` by these same numbers; test/unit/native checks that both sides agree.
 */

/** Byte offset of the slot's region in the arena; constant. */
export const M_BASE = 0
/** Size of the region in bytes, headroom included; constant. */
export const M_SIZE = 1
/** Owner thread (index of its partition); constant. */
export const M_OWNER = 2
/** Byte offset in the arena of the frame's first byte (Ethernet destination). */
export const M_OFF = 3
/** Length of the frame in bytes, without FCS. */
export const M_LEN = 4
/** Datapath port number it came in by. */
export const M_PORT = 5
/** virtio-net header facts (virtio 1.2, 5.1.6): flags (VNET_F_*), gso_type, gso_size, hdr_len. */
export const M_VFLAGS = 6
export const M_GSO_TYPE = 7
export const M_GSO_SIZE = 8
export const M_HDR_LEN = 9
/** Where the checksum starts, bytes from the frame's first byte, and where it is stored, bytes from csum_start. */
export const M_CSUM_START = 10
export const M_CSUM_OFF = 11
/** UDP tunnel GSO (gso_type & 0x60): outer transport header and inner network header, bytes from the frame's first byte. */
export const M_OUTER_TH = 12
export const M_INNER_NH = 13
/** Pipeline metadata: M_FIRST_PIPE..META_WORDS are cleared by every receive. */
export const M_FIRST_PIPE = 14
export const M_RECIRC_ID = 14
export const M_MARK = 15
export const M_HASH = 16
export const M_PRIORITY = 17
/** ct_state in the upper, zone in the lower 16 bits. */
export const M_CT_STATE = 18
export const M_CT_MARK = 19
export const M_CT_LABEL = 20
/** Tunnel id: high word, low word. */
export const M_TUN_ID = 24
/** tos << 24 | ttl << 16 | flags. */
export const M_TUN_META = 26
/** tp_src << 16 | tp_dst of the outer header. */
export const M_TUN_TP = 27
/** Outer addresses, 4 words each; IPv4 as ::ffff:a.b.c.d, all zero when the frame came by no tunnel. */
export const M_TUN_SRC = 28
export const M_TUN_DST = 32
/** Free for the holder (chaining, parking). */
export const M_USER = 36
export const META_WORDS = 40

export const VNET_F_NEEDS_CSUM = 1
export const VNET_F_DATA_VALID = 2
/** The outer UDP header of a UDP tunnel super-frame carries a checksum. */
export const VNET_F_TUNNEL_CSUM = 8
export const GSO_NONE = 0
export const GSO_TCPV4 = 1
export const GSO_UDP = 3
export const GSO_TCPV6 = 4
export const GSO_UDP_L4 = 5
export const GSO_UDP_TUNNEL_IPV4 = 0x20
export const GSO_UDP_TUNNEL_IPV6 = 0x40
export const GSO_ECN = 0x80

/** Bytes kept free in front of a received frame, for encapsulation. */
export const HEADROOM = 192
export const SMALL_SIZE = 2048
/** 65,535 bytes of IP, Ethernet, two VLAN tags, and headroom. */
export const BIG_SIZE = 66560

export const MAX_TUNNEL_PORTS = 63

/** The shared memory of all frames. Plain data: it is posted to workers as it is. */
export interface Arena {
  readonly bytes: Uint8Array
  readonly meta: Int32Array
  /** How many, then UDP ports of tunnels: what comes to them is looked into when it is received, and short packets to them are joined when they are sent. Main writes it (`setTunnelPorts`). */
  readonly tunnels: Int32Array
  readonly owners: number
  readonly small: number
  readonly big: number
}

const MOST_BYTES = 0x7fffffff

/** Big slots that each of `owners` partitions can have beside `small` small ones. */
export const mostBig = (owners: number, small: number): number =>
  Math.floor((MOST_BYTES / owners - small * SMALL_SIZE) / BIG_SIZE)

/**
 * Allocates an arena with `owners` partitions of `small` + `big` slots each. Pages are touched only when used, so spare
 * partitions cost address space, not memory.
 */
export const createArena = (owners: number, small: number, big: number): Arena => {
  const per = small * SMALL_SIZE + big * BIG_SIZE
  if (owners * per > MOST_BYTES) throw new RangeError(`arena of ${owners * per} bytes: at most 2 GiB expected`)
  const bytes = new Uint8Array(new SharedArrayBuffer(owners * per))
  const meta = new Int32Array(new SharedArrayBuffer(owners * (small + big) * META_WORDS * 4))
  for (let owner = 0, slot = 0, base = 0; owner < owners; owner++) {
    for (let i = 0; i < small + big; i++, slot++) {
      const size = i < small ? SMALL_SIZE : BIG_SIZE
      const m = slot * META_WORDS
      meta[m + M_BASE] = base
      meta[m + M_SIZE] = size
      meta[m + M_OWNER] = owner
      meta[m + M_OFF] = base + HEADROOM
      base += size
    }
  }
  const tunnels = new Int32Array(new SharedArrayBuffer((1 + MAX_TUNNEL_PORTS) * 4))
  return { bytes, meta, tunnels, owners, small, big }
}

/** Ports beyond MAX_TUNNEL_PORTS are left out: their packets come one by one. A receiver that reads meanwhile may miss one for a batch. */
export const setTunnelPorts = ({ tunnels }: Arena, udpPorts: readonly number[]): void => {
  const listed = udpPorts.slice(0, MAX_TUNNEL_PORTS)
  tunnels.set(listed, 1)
  Atomics.store(tunnels, 0, listed.length)
}

/** One thread's free slots, last in first out so that the warm ones are used first. Not shared: its thread alone calls it. */
export class SlotPool {
  readonly arena: Arena
  readonly owner: number
  /** Stacks of slot indices; entries below the count are free. The native receive pops from them by itself. */
  readonly smallStack: Int32Array
  readonly bigStack: Int32Array
  smallFree = 0
  bigFree = 0

  constructor(arena: Arena, owner: number) {
    this.arena = arena
    this.owner = owner
    this.smallStack = new Int32Array(arena.small)
    this.bigStack = new Int32Array(arena.big)
    this.reset()
  }

  /** Takes every slot of the partition back. Only when no other thread can hold one. */
  reset(): void {
    const first = this.owner * (this.arena.small + this.arena.big)
    for (let i = 0; i < this.arena.small; i++) this.smallStack[i] = first + this.arena.small - 1 - i
    for (let i = 0; i < this.arena.big; i++) this.bigStack[i] = first + this.arena.small + this.arena.big - 1 - i
    this.smallFree = this.arena.small
    this.bigFree = this.arena.big
  }

  /** A slot with room for `len` bytes after the headroom (a big one if small ones ran out), or -1. Its frame and metadata are unset. */
  take(len: number): number {
    if (len <= SMALL_SIZE - HEADROOM && this.smallFree > 0) return this.smallStack[--this.smallFree]!
    if (len <= BIG_SIZE - HEADROOM && this.bigFree > 0) return this.bigStack[--this.bigFree]!
    return -1
  }

  /** Gives back a slot of this pool's own partition. */
  give(slot: number): void {
    if (this.arena.meta[slot * META_WORDS + M_SIZE] === SMALL_SIZE) this.smallStack[this.smallFree++] = slot
    else this.bigStack[this.bigFree++] = slot
  }

  /** Copies frame and metadata of `slot` into a fresh slot of this pool: a byte copy, no sharing. -1 when none is free. */
  copy(slot: number): number {
    const { bytes, meta } = this.arena
    const from = slot * META_WORDS
    const len = meta[from + M_LEN]!
    const fresh = this.take(len)
    if (fresh < 0) return -1
    const to = fresh * META_WORDS
    const off = meta[to + M_BASE]! + HEADROOM
    bytes.copyWithin(off, meta[from + M_OFF]!, meta[from + M_OFF]! + len)
    for (let i = M_LEN; i < META_WORDS; i++) meta[to + i] = meta[from + i]!
    meta[to + M_OFF] = off
    return fresh
  }
}
