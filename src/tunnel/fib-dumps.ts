/** How the mirrored tables of a namespace are dumped (resync.ts): what a part says, and what it means that a dump has not mentioned something. */
import { addressDumpPayload, isAddressMessage, parseAddress, RTM_GETADDR } from '../netlink/address.ts'
import type { NetlinkMessage } from '../netlink/codec.ts'
import { isNexthopMessage, nexthopDumpPayload, parseNexthop, RTM_GETNEXTHOP } from '../netlink/nexthop.ts'
import { isRouteMessage, parseRoute, RTM_GETROUTE, routeDumpPayload } from '../netlink/route.ts'
import { isRuleMessage, parseRule, RTM_GETRULE, ruleDumpPayload } from '../netlink/rule.ts'
import { addressGone, type Dependants, objectsChanged, objectsGone } from './fib-silent.ts'
import type { DumpedTable } from './resync.ts'
import type { RuleList } from './rule-list.ts'

export interface DumpedState extends Dependants {
  readonly rules: { readonly 4: RuleList; readonly 6: RuleList }
  /** Of routes: each dump begins a new one. */
  readonly epochs: { 4: number; 6: number }
  /** Calls `read`, and counts what it throws as a message that made no sense. */
  guard(read: () => void): void
}

/** A part that is told, like any other event, when it has been applied. */
const part =
  (state: DumpedState, is: (message: NetlinkMessage) => boolean, apply: (message: NetlinkMessage) => void) =>
  (message: NetlinkMessage): void => {
    if (is(message)) state.guard(() => state.listeners.during(() => apply(message)))
  }

export const routeDump = (state: DumpedState, version: 4 | 6): DumpedTable => ({
  type: RTM_GETROUTE,
  payload: () => routeDumpPayload(version),
  part: (message) => {
    if (!isRouteMessage(message)) return
    state.guard(() => {
      const route = parseRoute(message)
      if (state.routes.listed(route, state.epochs[version]) !== 'same') state.listeners.dumpedRoute(route)
    })
  },
  begin: () => {
    state.epochs[version]++
    state.listeners.dumpBegins()
  },
  sweep: () => {
    const epoch = state.epochs[version]
    for (const entry of [...state.routes.entries(version)]) {
      if (entry.epoch === epoch) continue
      state.routes.remove(entry)
      state.listeners.dumpedRoute(entry.route)
    }
    state.listeners.dumpEnds()
  },
})

export const ruleDump = (state: DumpedState, version: 4 | 6): DumpedTable => {
  const list = state.rules[version]
  return {
    type: RTM_GETRULE,
    payload: () => ruleDumpPayload(version),
    part: part(state, isRuleMessage, (message) => {
      if (list.listed(parseRule(message))) state.listeners.rules()
    }),
    begin: () => {
      list.epoch++
    },
    sweep: () => {
      if (list.sweep()) state.listeners.rules()
    },
  }
}

export const addressDump = (state: DumpedState): DumpedTable => ({
  type: RTM_GETADDR,
  payload: addressDumpPayload,
  part: part(state, isAddressMessage, (message) => {
    const address = parseAddress(message)
    if (state.addresses.listed(address)) state.listeners.address(address)
  }),
  begin: () => {
    state.addresses.epoch++
  },
  sweep: () =>
    state.listeners.during(() => {
      for (const address of state.addresses.sweep()) {
        state.listeners.address(address)
        addressGone(state, address)
      }
    }),
})

export const nexthopDump = (state: DumpedState): DumpedTable => ({
  type: RTM_GETNEXTHOP,
  payload: nexthopDumpPayload,
  part: part(state, isNexthopMessage, (message) => {
    const object = parseNexthop(message)
    if (object && state.objects.set(object)) objectsChanged(state, [object.id])
  }),
  begin: () => state.objects.begin(),
  sweep: () =>
    state.listeners.during(() => {
      objectsGone(state, state.objects.unheard())
    }),
})
