/** What a flow's actions do on the wire, encap entries looked into. */
import type { EncapEntry } from '../flow/encap.ts'
import type { OdpAction } from '../flow/odp.ts'

export type EntryOf = (id: number) => EncapEntry | undefined

/** Entries that are named, those in clones included, each once. Lists are shared by many flows, and so is the answer. */
export const pushedEntries = (actions: readonly OdpAction[]): readonly number[] => {
  if (!actions.some(mayPush)) return NONE
  let entries = pushed.get(actions)
  if (!entries) {
    entries = collectEntries(actions, [])
    pushed.set(actions, entries)
  }
  return entries
}

const pushed = new WeakMap<readonly OdpAction[], readonly number[]>()

const NONE: readonly number[] = []
const mayPush = ({ type }: OdpAction): boolean => type === 'tnl_push' || type === 'clone'

const collectEntries = (actions: readonly OdpAction[], out: number[]): number[] => {
  for (const a of actions)
    if (a.type === 'tnl_push') {
      if (!out.includes(a.entry)) out.push(a.entry)
    } else if (a.type === 'clone') collectEntries(a.actions, out)
  return out
}

/** Ports of the outputs that the flow itself names, in order, those of clones included. */
export const outputPorts = (actions: readonly OdpAction[], out: number[] = []): number[] => {
  for (const a of actions)
    if (a.type === 'output') out.push(a.port)
    else if (a.type === 'clone') outputPorts(a.actions, out)
  return out
}

/** Ports by which packets leave in the end: also those that encapsulated ones leave by. */
export const wirePorts = (actions: readonly OdpAction[], entryOf: EntryOf, out: number[] = []): number[] => {
  for (const a of actions)
    if (a.type === 'output') out.push(a.port)
    else if (a.type === 'clone') wirePorts(a.actions, entryOf, out)
    else if (a.type === 'tnl_push') outputPorts(entryOf(a.entry)?.actions ?? [], out)
  return out
}

/** A flow that takes the outer header off and does nothing else. */
export const isPop = (actions: readonly OdpAction[]): boolean => actions.length === 1 && actions[0]!.type === 'tnl_pop'
