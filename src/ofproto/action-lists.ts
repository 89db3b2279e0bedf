/**
 * Lists of actions that many cached flows have: output to one port, and nothing else. They share one list, so that it is kept, compiled and compared once. Bounded by the ports. Main thread.
 */
import type { OdpAction } from '../flow/odp.ts'

export class ActionLists {
  readonly #toPort: (readonly OdpAction[] | undefined)[] = []

  /** A list equal to this one, which nobody may write to. */
  share(actions: readonly OdpAction[]): readonly OdpAction[] {
    const [only] = actions
    if (actions.length !== 1 || only?.type !== 'output') return actions
    const known = this.#toPort[only.port]
    if (known !== undefined) return known
    this.#toPort[only.port] = actions
    return actions
  }
}
