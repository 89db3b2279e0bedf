/** The encap entries that one eswitch worker holds for rules: put before the first rule that names one, removed after the last. Main thread. */
import type { Eswitch } from '../eswitch/contract.ts'
import type { EncapEntry } from '../flow/encap.ts'

interface Held {
  entry: EncapEntry
  /** Rules that name it, those included that are being removed. */
  rules: number
}

export class HeldEntries {
  readonly #eswitch: Eswitch
  readonly #held = new Map<number, Held>()
  #lost = false

  constructor(eswitch: Eswitch) {
    this.#eswitch = eswitch
  }

  /** As the worker has it. */
  get(id: number): EncapEntry | undefined {
    return this.#held.get(id)?.entry
  }

  get size(): number {
    return this.#held.size
  }

  /** For a rule that is about to be put. False: the worker takes nothing; then nothing is held for the rule. */
  take(entries: readonly EncapEntry[]): boolean {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      let held = this.#held.get(entry.id)
      if (held?.entry !== entry && this.#eswitch.encapPut(entry) !== 'ok') {
        this.release(entries.slice(0, i).map(({ id }) => id))
        return false
      }
      if (!held) {
        held = { entry, rules: 0 }
        this.#held.set(entry.id, held)
      }
      held.entry = entry
      held.rules++
    }
    return true
  }

  /** A rule that named these is gone, or names others now. */
  release(ids: readonly number[]): void {
    for (const id of ids) {
      const held = this.#held.get(id)
      if (!held || --held.rules > 0) continue
      this.#held.delete(id)
      if (!this.#lost) this.#eswitch.encapDel(id)
    }
  }

  /** All rules that name it follow at once. */
  replace(entry: EncapEntry): void {
    const held = this.#held.get(entry.id)
    if (held && this.#eswitch.encapPut(entry) === 'ok') held.entry = entry
  }

  /** They are gone with the worker. */
  lose(): void {
    this.#lost = true
  }
}
