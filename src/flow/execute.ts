/**
 * The action interpreter of tiers 2 and 3: runs a compiled program (program.ts) on one slot. Each run consumes the slot it is given: it ends at an output, a
 * recirculation or a counted drop.
 */

import { put16 } from '../packet/bytes.ts'
import { checksum } from '../packet/checksum.ts'
import {
  type Arena,
  GSO_NONE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_FIRST_PIPE,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_LEN,
  M_MARK,
  M_OFF,
  M_OUTER_TH,
  M_PORT,
  M_PRIORITY,
  M_USER,
  M_VFLAGS,
  META_WORDS,
  VNET_F_NEEDS_CSUM,
  VNET_F_TUNNEL_CSUM,
} from '../packet/slot.ts'
import { ENCAP_DROP, ENCAP_PENDING, EncapTable } from './encap-table.ts'
import { createLocated } from './execute-locate.ts'
import { Decapsulator } from './execute-pop.ts'
import { Encapsulator } from './execute-push.ts'
import { setHeader } from './execute-set.ts'
import { popMpls, popVlan, pushMpls, pushVlan } from './execute-vlan.ts'
import { LOST_FLOW_DROP, LOST_MALFORMED, LOST_TRANSLATION, LOST_TUNNEL_LOOP } from './lost.ts'
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
  OP_REENTER,
  OP_REENTER_LAST,
  OP_SET_MARK,
  OP_SET_PRIORITY,
  OP_TNL_POP,
  OP_TNL_POP_LAST,
  OP_TNL_PUSH,
  OP_TNL_PUSH_LAST,
  OP_TRUNC_OUTPUT,
  OP_TRUNC_OUTPUT_LAST,
} from './program.ts'
import { PUSH_TOO_BIG, TUNNEL_OK } from './tunnel-codes.ts'

export * from './lost.ts'
export { POP_NEEDS_ECN, TUNNEL_OK } from './tunnel-codes.ts'

/** Where frames go. All but `copy` and `noCopy` take the slot over. */
export interface ExecuteSink {
  emit(slot: number, port: number): void
  recirc(slot: number, id: number): void
  /** A frame ends here for the reason LOST_*. */
  lost(slot: number, why: number): void
  /** A byte copy in a slot of the running thread, or -1. */
  copy(slot: number): number
  /** Counts a copy that could not be made; `slot` stays with the program. */
  noCopy(slot: number): void
  /**
   * The entry is pending: the frame, not encapsulated yet, waits for it, within the bounds of its next hop, or is counted LOST_NEIGHBOUR_QUEUE. When its wait is over:
   * Executor.resume.
   */
  encapWait(slot: number, entry: number, nextHop: number): void
  /** The frame, not encapsulated, is too big for the entry's underlay. */
  tooBig(slot: number, entry: number): void
  /** To be looked up again, as if just received: M_PORT is set (a tunnel's port with tunnel metadata, or an underlay's internal port without). Counts as a look-up. */
  reenter(slot: number): void
}

export class Executor {
  readonly #bytes: Uint8Array
  readonly #meta: Int32Array
  readonly #sink: ExecuteSink
  readonly #at = createLocated()
  readonly #encapsulator: Encapsulator
  readonly #decapsulator: Decapsulator
  /** Facts of the slot before the last `pop`. */
  readonly #popped = new Int32Array(M_FIRST_PIPE)
  /** The worker's entries; changed between batches. */
  readonly encaps: EncapTable

  constructor(arena: Arena, sink: ExecuteSink, encaps: EncapTable = new EncapTable()) {
    this.#bytes = arena.bytes
    this.#meta = arena.meta
    this.#sink = sink
    this.encaps = encaps
    this.#encapsulator = new Encapsulator(arena)
    this.#decapsulator = new Decapsulator(arena)
  }

  /** Runs `program` on `slot`. An empty program is a decision to drop. */
  run(program: Int32Array, slot: number): void {
    if (program.length === 0) this.#sink.lost(slot, LOST_FLOW_DROP)
    else this.#run(program, 0, program.length, slot, false)
  }

  /** Goes on with a frame that waited for an entry (`encapWait`): as that is now, it goes, waits again, or is lost. */
  resume(slot: number, entry: number): void {
    this.#push(slot, entry, 0, false)
  }

  /**
   * Puts the entry's header in front, whatever its state and MTU, and nothing more: TUNNEL_OK, or LOST_* and the frame as it was. LOST_TRANSLATION when
   * there is no such entry.
   */
  encapInto(slot: number, entry: number): number {
    const row = this.encaps.get(entry)
    return row === undefined ? LOST_TRANSLATION : this.#encapsulator.push(slot, row, 0)
  }

  /**
   * Takes the outer headers off a frame that has no metadata of the pipeline yet, and notes them as tunnel metadata; M_PORT becomes `port`, or stays if that is -1. Writes no byte of the frame. Returns
   * TUNNEL_OK; POP_NEEDS_ECN if the inner packet would have to be written; else LOST_*. Unless TUNNEL_OK, nothing was changed.
   */
  pop(slot: number, port: number): number {
    const m = slot * META_WORDS
    for (let w = M_OFF; w < M_FIRST_PIPE; w++) this.#popped[w] = this.#meta[m + w]!
    return this.#decapsulator.pop(slot, port, false)
  }

  /** Undoes the last `pop`, of this slot, if the frame has not been written since: all facts and metadata are as before. */
  unpop(slot: number): void {
    const m = slot * META_WORDS
    for (let w = M_OFF; w < M_FIRST_PIPE; w++) this.#meta[m + w] = this.#popped[w]!
    for (let w = M_FIRST_PIPE; w < M_USER; w++) this.#meta[m + w] = 0
  }

  /** `underlay`: the program is an entry's, and puts no further header on. */
  #run(p: Int32Array, from: number, to: number, slot: number, underlay: boolean): void {
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
          sink.lost(slot, argument)
          return
        case OP_TNL_PUSH_LAST:
          this.#push(slot, p[pc + 1]!, p[pc + 2]!, underlay)
          return
        case OP_TNL_PUSH: {
          const copy = sink.copy(slot)
          if (copy >= 0) this.#push(copy, p[pc + 1]!, p[pc + 2]!, underlay)
          else sink.noCopy(slot)
          pc += 3
          break
        }
        case OP_TNL_POP_LAST:
          this.#pop(slot, p[pc + 1]!, p[pc + 2]!)
          return
        case OP_TNL_POP: {
          const copy = sink.copy(slot)
          if (copy >= 0) this.#pop(copy, p[pc + 1]!, p[pc + 2]!)
          else sink.noCopy(slot)
          pc += 3
          break
        }
        case OP_REENTER_LAST:
          this.#reenter(slot, p[pc + 1]!)
          return
        case OP_REENTER: {
          const copy = sink.copy(slot)
          if (copy >= 0) this.#reenter(copy, p[pc + 1]!)
          else sink.noCopy(slot)
          pc += 2
          break
        }
        case OP_CLONE: {
          const copy = sink.copy(slot)
          if (copy >= 0) this.#run(p, pc + 1, pc + 1 + argument, copy, underlay)
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

  #push(slot: number, entry: number, maxLen: number, underlay: boolean): void {
    const sink = this.#sink
    const row = underlay ? undefined : this.encaps.get(entry)
    if (row === undefined) {
      sink.lost(slot, underlay ? LOST_TUNNEL_LOOP : LOST_TRANSLATION)
      return
    }
    if (maxLen > 0) this.#truncate(slot, maxLen)
    if (row.state === ENCAP_PENDING) {
      sink.encapWait(slot, entry, row.nextHop)
      return
    }
    if (row.state === ENCAP_DROP) {
      sink.lost(slot, row.lost)
      return
    }
    const done = this.#encapsulator.push(slot, row, row.mtu)
    if (done === PUSH_TOO_BIG) sink.tooBig(slot, entry)
    else if (done !== TUNNEL_OK) sink.lost(slot, done)
    else if (row.program.length === 0) sink.lost(slot, LOST_FLOW_DROP)
    else this.#run(row.program, 0, row.program.length, slot, true)
  }

  #pop(slot: number, port: number, maxLen: number): void {
    if (maxLen > 0) this.#truncate(slot, maxLen)
    const done = this.#decapsulator.pop(slot, port, true)
    if (done === TUNNEL_OK) this.#sink.reenter(slot)
    else this.#sink.lost(slot, done)
  }

  #reenter(slot: number, port: number): void {
    const meta = this.#meta
    const m = slot * META_WORDS
    for (let w = M_FIRST_PIPE; w < M_USER; w++) if (w !== M_MARK && w !== M_PRIORITY) meta[m + w] = 0
    meta[m + M_PORT] = port
    this.#sink.reenter(slot)
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
        const sum = checksum(this.#bytes, off + start, len - start) || 0xffff
        this.#bytes[off + at] = sum >>> 8
        this.#bytes[off + at + 1] = sum
      }
    }
    if ((meta[m + M_VFLAGS]! & VNET_F_TUNNEL_CSUM) !== 0) {
      const start = meta[m + M_OUTER_TH]!
      if (start + 8 <= len) {
        const sum = checksum(this.#bytes, meta[m + M_OFF]! + start, len - start) || 0xffff
        put16(this.#bytes, meta[m + M_OFF]! + start + 6, sum)
      }
    }
    meta[m + M_VFLAGS] = 0
    meta[m + M_GSO_TYPE] = GSO_NONE
    meta[m + M_GSO_SIZE] = 0
    meta[m + M_LEN] = maxLen
  }
}
