/**
 * Order in tier 3: no frame leaves by a rule while an earlier one of its microflow is on the slow path (behind.ts) or waits (held-frames.ts). A rule becomes active only when all that
 * went up before it has gone (arming.ts).
 *
 * A tunnelled frame is of two microflows: the outer packet's, and that of the packet inside, whose other packets may come by other outer ones. It waits for either; as long as it is not
 * known what is inside, it stands for its outer one alone.
 */
import { microflow } from '../flow/microflow.ts'
import { M_PORT, META_WORDS } from '../packet/slot.ts'
import type { Arming } from './arming.ts'
import { Behind } from './behind.ts'
import { GONE, HeldFrames, STAYS, UP } from './held-frames.ts'
import type { RuleTable } from './rule-table.ts'
import { type EswitchShared, RULE_ACTIVE, RULE_ARMED, RULE_NONE } from './shared.ts'
import type { Uplink } from './uplink.ts'

/** What becomes of frames whose turn it is. */
export interface OrderHost {
  /** Runs active rule `rule` on a held frame: GONE; STAYS if the rule for the inner packet is not active (`waitFor`); UP if the datapath must deal with it. */
  runHeld(slot: number, rule: number): number
  /** A held frame goes up, where it has its place. */
  heldUp(slot: number): void
  /** Another frame goes up, if there is room. */
  goUp(slot: number, no: number): void
}

export class Order {
  readonly #meta: Int32Array
  readonly #rules: RuleTable
  readonly #arming: Arming
  readonly #host: OrderHost
  readonly #behind = new Behind()
  readonly #held: HeldFrames

  constructor(shared: EswitchShared, rules: RuleTable, arming: Arming, uplink: Uplink, host: OrderHost) {
    this.#meta = shared.arena.meta
    this.#rules = rules
    this.#arming = arming
    this.#host = host
    this.#held = new HeldFrames(shared, uplink, (slot, behind, all) => this.#letGo(slot, behind, all))
  }

  /** True if it is any frame's turn. */
  get free(): boolean {
    return this.#behind.size === 0 && this.#held.count === 0
  }

  /** Frames that wait. */
  get held(): number {
    return this.#held.count
  }

  /** True if it is the turn of a frame of microflow `order` that came in one of `outer`, which is the same for one that did not come by a tunnel. */
  isNext(no: number, order: number, outer: number): boolean {
    return !this.#isBehind(no, order, outer) && !this.#held.has(order, outer)
  }

  /** A frame that no rule can serve goes up. `key`: what is known of it. */
  miss(slot: number, no: number, key: Int32Array): void {
    // Without rules nothing can overtake; and a first rule waits for all that went up before it.
    if (!this.#rules.has(no)) {
      this.#host.goUp(slot, no)
      return
    }
    const order = microflow(key)
    if (this.#held.has(order, order)) this.#held.review(true)
    this.#host.goUp(slot, no)
    this.#wentUp(no, order)
  }

  /** The frame waits for its rule, for that of the packet inside (-1: none, or not known) or for its turn. */
  hold(slot: number, rule: number, inner: number, order: number, outer: number): void {
    if (this.#held.add(slot, rule, inner, order, outer)) return
    const no = this.#meta[slot * META_WORDS + M_PORT]!
    this.#held.review(true)
    this.#host.goUp(slot, no)
    this.#wentUp(no, order)
    this.#arming.again()
  }

  /** Another rule for the packet inside is what a held frame waits for. */
  waitFor(slot: number, inner: number): void {
    this.#held.setInner(slot, inner)
  }

  /** A marker is back (port/link.ts). */
  answered(port: number, seq: number, low: number, high: number): void {
    if (seq > 0) this.#rules.answered(port, seq)
    this.#behind.answered(port, seq)
    this.#behind.setLate(port, low, high)
    this.review()
  }

  /** Lets those go whose turn has come, or whose rule is gone. */
  review(): void {
    if (this.#held.count > 0) this.#held.review(false)
  }

  /** The port is gone. */
  forget(port: number): void {
    this.#behind.forget(port)
  }

  #isBehind(no: number, order: number, outer: number): boolean {
    return this.#behind.has(no, order) || (outer !== order && this.#behind.has(no, outer))
  }

  /**
   * A held frame goes on: by its rules if they are active, up if one is gone or has nothing for it, and up in any case if `all`. It stays (STAYS) while frames of its microflows are before
   * it (`behind`), a rule of its is not active yet, or, unless it goes up too, frames of its microflows are above.
   */
  #letGo(slot: number, behind: boolean, all: boolean): number {
    const held = this.#held
    const no = this.#meta[slot * META_WORDS + M_PORT]!
    const rule = held.rule(slot)
    const inner = held.inner(slot)
    const order = held.order(slot)
    const state = this.#rules.state(rule)
    const innerState = inner < 0 ? RULE_ACTIVE : this.#rules.state(inner)
    let next = STAYS
    if (!behind) {
      const gone = state === RULE_NONE || innerState === RULE_NONE
      const armed = state === RULE_ARMED || innerState === RULE_ARMED
      if (gone) next = UP
      else if (!armed && !this.#isBehind(no, order, held.outer(slot))) next = this.#host.runHeld(slot, rule)
    }
    if (next === GONE || (next === STAYS && !all)) return next
    this.#host.heldUp(slot)
    this.#wentUp(no, order)
    return GONE
  }

  #wentUp(no: number, order: number): void {
    this.#behind.add(no, order, this.#arming.request(no))
  }
}
