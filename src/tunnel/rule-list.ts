/** Policy rules of one version in the order in which the kernel tries them. */
import type { Rule } from '../netlink/rule.ts'
import { insert, type Ordered } from './ordered-run.ts'

interface RuleEntry extends Ordered {
  readonly rule: Rule
}

const compare = (a: RuleEntry, b: RuleEntry): number => a.rule.priority - b.rule.priority
const idOf = (rule: Rule): string =>
  JSON.stringify(rule, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  )

export class RuleList {
  epoch = 0
  readonly #run: RuleEntry[] = [];

  *[Symbol.iterator](): Generator<Rule> {
    for (const { rule } of this.#run) yield rule
  }

  /** True if it changed something. */
  listed(rule: Rule): boolean {
    const id = idOf(rule)
    const at = this.#run.findIndex((entry) => entry.id === id)
    if (at >= 0) this.#run.splice(at, 1)
    const entry = { id, rule, epoch: this.epoch }
    insert(this.#run, entry, 'listed', compare)
    return this.#run.indexOf(entry) !== at
  }

  added(rule: Rule): boolean {
    const id = idOf(rule)
    const present = this.#run.find((entry) => entry.id === id)
    if (present) present.epoch = this.epoch
    else insert(this.#run, { id, rule, epoch: this.epoch }, 'last', compare)
    return !present
  }

  deleted(rule: Rule): boolean {
    const id = idOf(rule)
    const at = this.#run.findIndex((entry) => entry.id === id)
    if (at >= 0) this.#run.splice(at, 1)
    return at >= 0
  }

  /** Lets go of what has not been heard of in this epoch. */
  sweep(): boolean {
    const stays = this.#run.filter((entry) => entry.epoch === this.epoch)
    const changed = stays.length !== this.#run.length
    this.#run.splice(0, this.#run.length, ...stays)
    return changed
  }

  clear(): void {
    this.#run.length = 0
  }
}
