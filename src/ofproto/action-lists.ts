/**
 * Lists of actions that many cached flows have: output to one port, or a tunnel's header and nothing else. They share one list, so that it is kept, compiled and compared once. Bounded by
 * the ports and the encap entries. Main thread.
 */
import type { OdpAction } from '../flow/odp.ts'

export class ActionLists {
  readonly #toPort: (readonly OdpAction[] | undefined)[] = []
  readonly #byEntry: (readonly OdpAction[] | undefined)[] = []

  /** A list equal to this one, which nobody may write to. */
  share(actions: readonly OdpAction[]): readonly OdpAction[] {
    const [only] = actions
    if (actions.length !== 1) return actions
    if (only?.type === 'output') return kept(this.#toPort, only.port, actions)
    return only?.type === 'tnl_push' ? kept(this.#byEntry, only.entry, actions) : actions
  }
}

const kept = (
  lists: (readonly OdpAction[] | undefined)[],
  at: number,
  actions: readonly OdpAction[],
): readonly OdpAction[] => {
  const known = lists[at]
  if (known !== undefined) return known
  lists[at] = actions
  return actions
}
