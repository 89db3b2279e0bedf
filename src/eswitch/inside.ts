/** What an eswitch must know of a frame and a tunnel before it runs a rule: the rule for what is inside, and whether what is to be inside fits. One thread only. */
import { ENCAP_READY } from '../flow/encap-table.ts'
import { type Executor, TUNNEL_OK } from '../flow/execute.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey } from '../flow/key.ts'
import { Looks } from '../flow/looks.ts'
import { microflow } from '../flow/microflow.ts'
import type { Arena } from '../packet/slot.ts'
import { wireLargest } from '../port/stats.ts'
import { PUSH_WORDS } from './pushes.ts'
import { KIND_POP, KIND_PUSH } from './rule-programs.ts'
import type { RuleTable } from './rule-table.ts'

const ETH_HLEN = 14

/** Of `popTo`: there is no rule, or the datapath must deal with the frame. */
const NO_RULE = -1
/** Of `popTo`: the frame cannot be taken apart. */
export const NOTHING_INSIDE = -2

export class Inside {
  readonly #arena: Arena
  readonly #rules: RuleTable
  readonly #executor: Executor
  readonly #looks: Looks
  readonly #waiting = createKey()
  /** Of the packet that `popTo` has found inside. */
  key = createKey()

  constructor(arena: Arena, rules: RuleTable, executor: Executor) {
    this.#arena = arena
    this.#rules = rules
    this.#executor = executor
    this.#looks = new Looks(arena, rules.inner)
  }

  /** Takes the outer headers off. Returns the rule for the packet inside, whose key is in `key` then; otherwise NO_RULE or NOTHING_INSIDE, and the frame is as it came. Hot path. */
  popTo(slot: number): number {
    if (this.#executor.pop(slot, -1) !== TUNNEL_OK) return NOTHING_INSIDE
    const look = this.#looks.of(slot)
    look.extract(slot)
    this.key = look.key
    const rule = look.find()
    if (rule >= 0) {
      const kind = this.#rules.kind(rule)
      if (kind !== KIND_POP && (kind !== KIND_PUSH || this.fits(slot, rule))) return rule
    }
    this.#executor.unpop(slot)
    return NO_RULE
  }

  /** Microflow of the packet inside of a frame, which stays as it is; `outer`, the frame's own, if it cannot be taken apart. */
  microflow(slot: number, outer: Int32Array): number {
    if (this.#executor.pop(slot, -1) !== TUNNEL_OK) return microflow(outer)
    extractFrame(this.#arena, slot, this.#waiting)
    this.#executor.unpop(slot)
    return microflow(this.#waiting)
  }

  /** False if an encap entry of the rule is not to be had or the frame is too big for its underlay: the datapath knows what to do then. Hot path. */
  fits(slot: number, rule: number): boolean {
    const pushes = this.#rules.pushes(rule)
    for (let i = 0; i < pushes.length; i += PUSH_WORDS) {
      const row = this.#executor.encaps.get(pushes[i]!)
      if (row === undefined || row.state !== ENCAP_READY) return false
      if (row.mtu === 0) continue
      const { bytes, meta } = this.#arena
      const cut = pushes[i + 2]!
      let length = wireLargest(bytes, meta, slot) + pushes[i + 1]!
      if (cut > 0 && cut < length) length = cut
      if (length + row.header.length - ETH_HLEN > row.mtu) return false
    }
    return true
  }
}
