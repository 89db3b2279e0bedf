/**
 * The action interpreter of tiers 2 and 3: runs a compiled program (program.ts) on one slot. Each run consumes the slot it is given: it ends at an output, a
 * recirculation or a counted drop.
 */
import {
  type Arena,
  GSO_NONE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_LEN,
  M_MARK,
  M_OFF,
  M_PRIORITY,
  M_VFLAGS,
  META_WORDS,
  VNET_F_NEEDS_CSUM,
} from '../packet/slot.ts'
import { internetChecksum } from './execute-checksum.ts'
import { createLocated } from './execute-locate.ts'
import { setHeader } from './execute-set.ts'
import { popMpls, popVlan, pushMpls, pushVlan } from './execute-vlan.ts'
import {
  OP_CLONE,
  OP_DROP,
  OP_OUTPUT,
  OP_OUTPUT_LAST,
  OP_POP_MPLS,
  OP_POP_VLAN,
  OP_PUSH_MPLS,
  OP_PUSH_VLAN,
  OP_RECIRC,
  OP_SET_MARK,
  OP_SET_PRIORITY,
  OP_TRUNC_OUTPUT,
  OP_TRUNC_OUTPUT_LAST,
} from './program.ts'

/** Why the interpreter gives a frame up; the tier maps them to its drop reasons. */
export const LOST_FLOW_DROP = 0
export const LOST_MALFORMED = 1
export const LOST_TRANSLATION = 2
/** No slot for a copy: counted for the ingress port, the original goes on. */
export const LOST_NO_COPY = 3
/** Encapsulation: what the state of its entry says. */
export const LOST_NO_ROUTE = 4
export const LOST_NEIGHBOUR_FAILED = 5
export const LOST_TUNNEL_LOOP = 6
/** More packets than may wait for one next hop, or for longer than they may. */
export const LOST_NEIGHBOUR_QUEUE = 7
export const LOST_NEIGHBOUR_TIMEOUT = 8
/** Too big for the underlay. */
export const LOST_TUNNEL_MTU = 9
/** Decapsulation: headers that are cut short or contradict each other, a wrong flag; a wrong checksum; RFC 6040's forbidden combination. */
export const LOST_DECAP_MALFORMED = 10
export const LOST_DECAP_CHECKSUM = 11
export const LOST_DECAP_ECN = 12
/** Tier 1's `drop` with a reason of that name: no tunnel port takes such a packet; a fragment of an outer packet. */
export const LOST_UNKNOWN_VNI = 13
export const LOST_OUTER_FRAGMENT = 14
/** How many there are. */
export const LOST_REASONS = 15

/** Where frames go. `emit`, `recirc` and `lost` take the slot over. */
export interface ExecuteSink {
  emit(slot: number, port: number): void
  recirc(slot: number, id: number): void
  /** A frame ends here for the reason LOST_*. */
  lost(slot: number, why: number): void
  /** A byte copy in a slot of the running thread, or -1. */
  copy(slot: number): number
  /** Counts a copy that could not be made; `slot` stays with the program. */
  noCopy(slot: number): void
}

export class Executor {
  readonly #bytes: Uint8Array
  readonly #meta: Int32Array
  readonly #sink: ExecuteSink
  readonly #at = createLocated()

  constructor(arena: Arena, sink: ExecuteSink) {
    this.#bytes = arena.bytes
    this.#meta = arena.meta
    this.#sink = sink
  }

  /** Runs `program` on `slot`. An empty program is a decision to drop. */
  run(program: Int32Array, slot: number): void {
    if (program.length === 0) this.#sink.lost(slot, LOST_FLOW_DROP)
    else this.#run(program, 0, program.length, slot)
  }

  #run(p: Int32Array, from: number, to: number, slot: number): void {
    const b = this.#bytes
    const meta = this.#meta
    const sink = this.#sink
    const m = slot * META_WORDS
    let pc = from
    while (pc < to) {
      const op = p[pc]! & 0xff
      const argument = p[pc]! >>> 8
      let ok = true
      switch (op) {
        case OP_OUTPUT_LAST:
          sink.emit(slot, p[pc + 1]!)
          return
        case OP_OUTPUT: {
          const copy = sink.copy(slot)
          if (copy >= 0) sink.emit(copy, p[pc + 1]!)
          else sink.noCopy(slot)
          pc += 2
          break
        }
        case OP_TRUNC_OUTPUT_LAST:
          this.#truncate(slot, p[pc + 2]!)
          sink.emit(slot, p[pc + 1]!)
          return
        case OP_TRUNC_OUTPUT: {
          const copy = sink.copy(slot)
          if (copy >= 0) {
            this.#truncate(copy, p[pc + 2]!)
            sink.emit(copy, p[pc + 1]!)
          } else sink.noCopy(slot)
          pc += 3
          break
        }
        case OP_PUSH_VLAN:
          ok = pushVlan(b, meta, slot, p[pc + 1]!)
          pc += 2
          break
        case OP_POP_VLAN:
          ok = popVlan(b, meta, slot)
          pc += 1
          break
        case OP_PUSH_MPLS:
          ok = pushMpls(b, meta, slot, p[pc + 1]!, p[pc + 2]!, this.#at)
          pc += 3
          break
        case OP_POP_MPLS:
          ok = popMpls(b, meta, slot, p[pc + 1]!, this.#at)
          pc += 2
          break
        case OP_RECIRC:
          sink.recirc(slot, p[pc + 1]!)
          return
        case OP_DROP:
          sink.lost(slot, LOST_TRANSLATION)
          return
        case OP_CLONE: {
          const copy = sink.copy(slot)
          if (copy >= 0) this.#run(p, pc + 1, pc + 1 + argument, copy)
          else sink.noCopy(slot)
          pc += 1 + argument
          break
        }
        case OP_SET_MARK:
          meta[m + M_MARK] = (meta[m + M_MARK]! & ~p[pc + 3]!) | p[pc + 2]!
          pc += 1 + 3 * argument
          break
        case OP_SET_PRIORITY:
          meta[m + M_PRIORITY] = (meta[m + M_PRIORITY]! & ~p[pc + 3]!) | p[pc + 2]!
          pc += 1 + 3 * argument
          break
        default:
          ok = setHeader(b, meta, slot, op, p, pc + 1, pc + 1 + 3 * argument, this.#at)
          pc += 1 + 3 * argument
      }
      if (!ok) {
        sink.lost(slot, LOST_MALFORMED)
        return
      }
    }
    sink.lost(slot, LOST_MALFORMED)
  }

  /**
   * Cuts the frame at `maxLen`. A partial checksum is completed first, so that the cut frame shows the one it had on the wire; a super-frame is
   * cut as its first segment would be.
   */
  #truncate(slot: number, maxLen: number): void {
    const meta = this.#meta
    const m = slot * META_WORDS
    const len = meta[m + M_LEN]!
    if (len <= maxLen) return
    if ((meta[m + M_VFLAGS]! & VNET_F_NEEDS_CSUM) !== 0) {
      const off = meta[m + M_OFF]!
      const start = meta[m + M_CSUM_START]!
      const at = start + meta[m + M_CSUM_OFF]!
      if (start <= len && at + 2 <= len) {
        const sum = internetChecksum(this.#bytes, off + start, len - start) || 0xffff
        this.#bytes[off + at] = sum >>> 8
        this.#bytes[off + at + 1] = sum
      }
    }
    meta[m + M_VFLAGS] = 0
    meta[m + M_GSO_TYPE] = GSO_NONE
    meta[m + M_GSO_SIZE] = 0
    meta[m + M_LEN] = maxLen
  }
}
