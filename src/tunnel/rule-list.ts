/** Policy rules of one version in the order in which the kernel tries them. */
import type { Rule } from '../netlink/rule.ts'

interface RuleEntry {
  /** Everything that tells it from another one. */
  readonly id: string
  readonly rule: Rule
  /** The dump, or the time after it, in which it was last heard of. */
  epoch: number
  /** The dump that listed it last; 0: none. */
  listed: number
}

const idOf = (rule: Rule): string =>
  JSON.stringify(rule, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  )

export class RuleList {
  epoch = 0
  readonly #run: RuleEntry[] = []

  get size(): number {
    return this.#run.length
  }

  *[Symbol.iterator](): Generator<Rule> {
    for (const { rule } of this.#run) yield rule
  }

  /** A part of a dump: behind what the same dump has listed before. True if it changed something. */
  listed(rule: Rule): boolean {
    const id = idOf(rule)
    const at = this.#run.findIndex((entry) => entry.id === id)
    if (at >= 0) this.#run.splice(at, 1)
    let place = this.#run.findIndex((entry) => entry.rule.priority >= rule.priority)
    if (place < 0) place = this.#run.length
    for (let i = place; this.#run[i]?.rule.priority === rule.priority; i++)
      if (this.#run[i]!.listed === this.epoch) place = i + 1
    this.#run.splice(place, 0, { id, rule, epoch: this.epoch, listed: this.epoch })
    return place !== at
  }

  /** Behind those of its priority. */
  added(rule: Rule): boolean {
    const id = idOf(rule)
    const present = this.#run.find((entry) => entry.id === id)
    if (present) {
      present.epoch = this.epoch
      return false
    }
    const behind = this.#run.findIndex((entry) => entry.rule.priority > rule.priority)
    this.#run.splice(behind < 0 ? this.#run.length : behind, 0, { id, rule, epoch: this.epoch, listed: 0 })
    return true
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
