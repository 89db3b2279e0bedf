/**
 * Packets that are too big for a tunnel's underlay. The inner packet may not be fragmented: its sender is told the size that fits, by an ICMP message that comes as if the tunnel
 * had delivered it. It may: the outer packet is fragmented if the tunnel allows that (df_default=false), else the packet is a counted drop. Main thread.
 */
import type { Dpif } from '../datapath/contract.ts'
import { addressToWords } from '../flow/address.ts'
import { ENCAP_DF, type EncapEntry } from '../flow/encap.ts'
import { encapRow } from '../flow/encap-table.ts'
import { Encapsulator } from '../flow/execute-push.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import { TUNNEL_OK } from '../flow/tunnel-codes.ts'
import { TUN_F_KEY } from '../flow/tunnel-flags.ts'
import type { Clock } from '../lib/clock.ts'
import { TokenBuckets } from '../lib/token-bucket.ts'
import { put16 } from '../packet/bytes.ts'
import { checksum } from '../packet/checksum.ts'
import { ETH_HLEN, ETH_TYPE_IPV4 } from '../packet/ethernet.ts'
import { mayAnswerTooBig, mayFragment, tooBigAnswer } from '../packet/icmp-too-big.ts'
import { fragmentIp } from '../packet/ip-fragment.ts'
import { IP_PROTO_TCP, IPV4_SRC } from '../packet/ipv4.ts'
import { IPV6_SRC } from '../packet/ipv6.ts'
import { L_L3, L_L4, L_PROTO, L_TYPE, L_WORDS, parseOffsets } from '../packet/layout.ts'
import {
  GSO_NONE,
  HEADROOM,
  M_BASE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_LEN,
  M_MARK,
  M_OFF,
  M_PORT,
  M_PRIORITY,
  M_TUN_DST,
  M_TUN_ID,
  M_TUN_META,
  M_TUN_SRC,
  M_VFLAGS,
  META_WORDS,
  VNET_F_NEEDS_CSUM,
} from '../packet/slot.ts'
import { tcpHeaderLength } from '../packet/tcp.ts'
import { UDP_HLEN } from '../packet/udp.ts'
import { VXLAN_HLEN, vxlanVni } from '../packet/vxlan.ts'
import { decide } from './decide.ts'
import type { Ofproto } from './ofproto.ts'
import { pushStats } from './translate/effects.ts'

/** Answers per second and at once: for one sender (RFC 4443 section 2.4 f), for all (as Linux's icmp_msgs_per_sec). */
const PER_SENDER = [10, 10] as const
const OVERALL = [1000, 50] as const
const SENDERS = 4096

export interface TunnelMtuCounters {
  /** Answered: fragmentation needed, packet too big. */
  icmp: number
  icmpv6: number
  /** Not answered, and lost: the rate limit; a packet that must not be answered, or an answer that no port takes. */
  limited: number
  unanswered: number
  /** Packets that went as fragments of the outer one, and their fragments. */
  fragmented: number
  fragments: number
  /** Lost: it may be fragmented, but not the tunnel's outer packet. */
  df: number
  /** Lost: a super-frame that cannot be cut here, a header that cannot be put on, no slot. */
  uncut: number
  malformed: number
  noSlot: number
  /** The size fits by now, or the entry has changed: tried again. */
  retried: number
  /** A defect; the packet is lost. */
  errors: number
}

/** Cuts the super-frame of a slot into complete frames, back to back in `out`; returns how many, -1 if it cannot. */
export type Segmenter = (slot: number, out: Uint8Array, lengths: Int32Array) => number

export interface TunnelMtuOptions {
  readonly ofproto: Ofproto
  readonly dpif: Dpif
  readonly clock: Clock
  /** Without one, super-frames that may be fragmented are lost. */
  readonly segment?: Segmenter
  readonly onError?: (error: unknown) => void
}

const LOST: readonly OdpAction[] = [{ type: 'drop', reason: 'tunnel-mtu' }]
const DONE: readonly OdpAction[] = []

/** One packet: bytes are the slot's own. */
interface TooBig {
  readonly slot: number
  readonly entry: EncapEntry
  readonly frame: Uint8Array
  readonly layout: Int32Array
  /** Bytes of a frame as it would be sent: of a super-frame's first segment. */
  readonly wire: number
}

export class TunnelMtu {
  readonly counters: TunnelMtuCounters = {
    icmp: 0,
    icmpv6: 0,
    limited: 0,
    unanswered: 0,
    fragmented: 0,
    fragments: 0,
    df: 0,
    uncut: 0,
    malformed: 0,
    noSlot: 0,
    retried: 0,
    errors: 0,
  }
  readonly #o: TunnelMtuOptions
  readonly #limits: TokenBuckets
  readonly #encapsulator: Encapsulator
  #ipv6Id = Math.floor(Math.random() * 0x100000000)

  constructor(options: TunnelMtuOptions) {
    this.#o = options
    this.#limits = new TokenBuckets(PER_SENDER, OVERALL, SENDERS, options.clock.now())
    this.#encapsulator = new Encapsulator(options.dpif.arena)
  }

  /** From now on such packets are taken. */
  start(): void {
    this.#o.dpif.onTooBig((slot, encap) => this.handle(slot, encap))
  }

  /** The handler for Dpif.onTooBig. Never throws: the datapath must get its slot back. */
  handle(slot: number, encap: number): void {
    let actions = LOST
    try {
      actions = this.#answer(slot, encap)
    } catch (error) {
      this.counters.errors++
      this.#o.onError?.(error)
    }
    this.#o.dpif.upcallDone(slot, actions)
  }

  #answer(slot: number, encap: number): readonly OdpAction[] {
    const entry = this.#o.ofproto.tunnels.layer?.entry(encap)
    if (entry === undefined) return LOST
    const packet = this.#packet(slot, entry)
    if (entry.state !== 'ready' || entry.mtu === 0 || packet.wire + overhead(entry) <= entry.mtu) {
      this.counters.retried++
      return [{ type: 'tnl_push', entry: encap }]
    }
    if (!mayFragment(packet.frame, packet.layout)) {
      const mtu = entry.mtu - overhead(entry) - packet.layout[L_L3]!
      if (mayAnswerTooBig(packet.frame, packet.layout, mtu)) {
        this.#tell(packet, mtu)
        return LOST
      }
      if ((entry.flags & ENCAP_DF) !== 0) {
        this.counters.unanswered++
        return LOST
      }
    }
    return this.#fragment(packet) ? DONE : LOST
  }

  #packet(slot: number, entry: EncapEntry): TooBig {
    const { bytes, meta } = this.#o.dpif.arena
    const m = slot * META_WORDS
    const len = meta[m + M_LEN]!
    const layout = new Int32Array(L_WORDS)
    const frame = bytes.subarray(meta[m + M_OFF]!, meta[m + M_OFF]! + len)
    parseOffsets(frame, 0, len, layout)
    let wire = len
    const l4 = layout[L_L4]!
    if (meta[m + M_GSO_TYPE] !== GSO_NONE && l4 >= 0) {
      const header = layout[L_PROTO] === IP_PROTO_TCP ? tcpHeaderLength(frame, l4) : UDP_HLEN
      wire = Math.min(len, l4 + header + meta[m + M_GSO_SIZE]!)
    }
    return { slot, entry, frame, layout, wire }
  }

  // --- ICMP ---

  #tell({ entry, frame, layout, wire }: TooBig, mtu: number): void {
    const now = this.#o.clock.now()
    const ip = layout[L_L3]!
    const v4 = layout[L_TYPE] === ETH_TYPE_IPV4
    const from = v4 ? ip + IPV4_SRC : ip + IPV6_SRC
    const sender = `${entry.tunnelPort} ${Buffer.from(frame.subarray(from, from + (v4 ? 4 : 16))).toString('hex')}`
    if (!this.#limits.take(sender, now)) {
      this.counters.limited++
      return
    }
    const slot = this.#slotFor(tooBigAnswer(frame, layout, mtu, wire - ip), entry.tunnelPort)
    if (slot < 0) return
    const { arena, pool } = this.#o.dpif
    noteTunnel(arena.meta, slot, entry)
    const key = createKey()
    extractFrame(arena, slot, key)
    const decision = decide(this.#o.ofproto, key, false, now)
    if (decision === null || decision.actions.length === 0 || decision.actions[0]!.type === 'drop') {
      this.counters.unanswered++
      pool.give(slot)
      return
    }
    this.counters[v4 ? 'icmp' : 'icmpv6']++
    // Where the answer's sender is, we do not know: it is not learned from us, neither here nor above.
    const effects = decision.effects.filter(({ type }) => type !== 'learn')
    pushStats(effects, 1, arena.meta[slot * META_WORDS + M_LEN]!, now)
    this.#o.dpif.execute(slot, decision.actions)
  }

  // --- fragments ---

  /** True if all of it went. */
  #fragment(packet: TooBig): boolean {
    const { slot, entry, frame } = packet
    if ((entry.flags & ENCAP_DF) !== 0) {
      this.counters.df++
      return false
    }
    const { meta } = this.#o.dpif.arena
    const facts = meta.subarray(slot * META_WORDS, (slot + 1) * META_WORDS)
    if (facts[M_GSO_TYPE] !== GSO_NONE) return this.#fragmentSegments(packet, facts)
    const copy = frame.slice()
    complete(copy, facts)
    const done = this.#sendInParts(copy, entry, facts)
    if (done) this.counters.fragmented++
    return done
  }

  #fragmentSegments({ slot, entry, frame, wire }: TooBig, facts: Int32Array): boolean {
    const size = facts[M_GSO_SIZE]!
    const most = size > 0 ? Math.ceil(frame.length / size) + 1 : 0
    const out = new Uint8Array(frame.length + most * wire)
    const lengths = new Int32Array(most)
    const count = this.#o.segment?.(slot, out, lengths) ?? -1
    if (count < 0) {
      this.counters.uncut++
      return false
    }
    let at = 0
    for (let i = 0; i < count; i++) {
      if (!this.#sendInParts(out.slice(at, at + lengths[i]!), entry, facts)) return false
      at += lengths[i]!
      this.counters.fragmented++
    }
    return true
  }

  /** `frame`: complete, not encapsulated. */
  #sendInParts(frame: Uint8Array, entry: EncapEntry, facts: Int32Array): boolean {
    const { dpif } = this.#o
    const { arena, pool } = dpif
    const whole = this.#slotFor(frame, entry.underlayPort)
    if (whole < 0) return false
    const m = whole * META_WORDS
    if (this.#encapsulator.push(whole, encapRow(entry), 0) !== TUNNEL_OK) {
      this.counters.malformed++
      pool.give(whole)
      return false
    }
    const off = arena.meta[m + M_OFF]!
    const outer = arena.bytes.slice(off, off + arena.meta[m + M_LEN]!)
    complete(outer, arena.meta.subarray(m, m + META_WORDS))
    pool.give(whole)
    this.#ipv6Id = (this.#ipv6Id + 1) >>> 0
    const parts = fragmentIp(outer, entry.mtu, this.#ipv6Id)
    for (const part of parts) {
      const slot = this.#slotFor(part, entry.underlayPort)
      if (slot < 0) return false
      arena.meta[slot * META_WORDS + M_MARK] = facts[M_MARK]!
      arena.meta[slot * META_WORDS + M_PRIORITY] = facts[M_PRIORITY]!
      dpif.execute(slot, entry.actions)
    }
    this.counters.fragments += parts.length
    return parts.length > 0
  }

  /** A slot of main's with this frame, as come by `port`; -1, counted, when there is none. */
  #slotFor(frame: Uint8Array, port: number): number {
    const { arena, pool } = this.#o.dpif
    const slot = pool.take(frame.length)
    if (slot < 0) {
      this.counters.noSlot++
      return -1
    }
    const { meta } = arena
    const m = slot * META_WORDS
    meta[m + M_OFF] = meta[m + M_BASE]! + HEADROOM
    meta.fill(0, m + M_VFLAGS, m + META_WORDS)
    arena.bytes.set(frame, meta[m + M_OFF]!)
    meta[m + M_LEN] = frame.length
    meta[m + M_PORT] = port
    return slot
  }
}

/** Bytes of outer IP packet in front of the inner frame. */
const overhead = ({ header }: EncapEntry): number => header.length - ETH_HLEN

/** As of a packet from the entry's peer. */
const noteTunnel = (meta: Int32Array, slot: number, { header, peer, local }: EncapEntry): void => {
  const m = slot * META_WORDS
  meta[m + M_TUN_ID + 1] = vxlanVni(header, header.length - VXLAN_HLEN)
  meta[m + M_TUN_META] = TUN_F_KEY
  addressToWords(peer, meta, m + M_TUN_SRC)
  if (local !== undefined) addressToWords(local, meta, m + M_TUN_DST)
}

/** Completes a partial checksum (virtio's NEEDS_CSUM). */
const complete = (frame: Uint8Array, facts: Int32Array): void => {
  if ((facts[M_VFLAGS]! & VNET_F_NEEDS_CSUM) === 0) return
  const start = facts[M_CSUM_START]!
  const at = start + facts[M_CSUM_OFF]!
  if (at + 2 > frame.length) return
  put16(frame, at, checksum(frame, start, frame.length - start) || 0xffff)
}
