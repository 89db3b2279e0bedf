/** Output: to one port, to all, across patch ports, to the controller. */
import {
  K_ACTSET_OUTPUT,
  K_CT_LABEL,
  K_CT_STATE,
  K_IN_PORT,
  K_METADATA,
  K_REG,
  K_TUN_GBP,
  K_TUN_ID,
} from '../../flow/key.ts'
import {
  OFPP_ALL,
  OFPP_CONTROLLER,
  OFPP_FLOOD,
  OFPP_IN_PORT,
  OFPP_NONE,
  OFPP_NORMAL,
  OFPP_TABLE,
  type Subfield,
} from '../../flow/ofp.ts'
import type { Port } from '../port.ts'
import { commit } from './commit.ts'
import type { Xlate } from './context.ts'
import { readSubfield } from './field-actions.ts'
import { isHanded } from './handed.ts'
import { isLimit } from './limits.ts'
import { normal } from './normal.ts'
import { OFPP_UNSET, runCloned, runTable } from './pipeline.ts'
import { outputTunnel, terminates } from './tunnel.ts'

/** The packet goes on in the bridge of `peer`: as a copy, without metadata, with an action set of its own. */
const throughPatch = (x: Xlate, port: Port, peer: Port): void => {
  const { flow } = x
  const saved = flow.slice()
  const tunnelMask = x.wc.slice(K_TUN_ID, K_TUN_GBP + 1)
  const { bridge, actionSet, wasMpls, table, rule } = x
  flow[K_IN_PORT] = peer.no
  flow.fill(0, K_METADATA, K_METADATA + 2)
  flow.fill(0, K_REG, K_REG + 16)
  flow.fill(0, K_TUN_ID, K_TUN_GBP + 1)
  flow.fill(0, K_CT_STATE, K_CT_LABEL + 4)
  flow[K_ACTSET_OUTPUT] = OFPP_UNSET
  x.wc.fill(0, K_TUN_ID, K_TUN_GBP + 1)
  x.actionSet = []
  x.bridge = peer.bridge
  x.effects.push({ type: 'patch', tx: port, rx: peer })
  x.reporter?.bridge(peer.bridge)
  if (!peer.flags.noReceive) runTable(x, 0, peer.no, runCloned)
  x.reporter?.leave()
  // What the next bridge could not do to its copy is no reason to drop the others. Limits are for all of it.
  if (x.error !== null && !isLimit(x.error)) x.error = null
  x.bridge = bridge
  x.actionSet = actionSet
  x.wasMpls = wasMpls
  x.table = table
  x.rule = rule
  flow.set(saved)
  x.wc.set(tunnelMask, K_TUN_ID)
}

/** Sends the packet as it now is out of a port of the current bridge. */
export const outputTo = (x: Xlate, no: number): void => {
  const port = x.bridge.port(no)
  if (port === undefined) {
    x.reporter?.warn('Nonexistent output port')
    return
  }
  if (port.flags.noForward) {
    x.reporter?.detail('OFPPC_NO_FWD set, skipping output')
    return
  }
  if (port.bundle.protected && x.bridge.port(x.flow[K_IN_PORT]!)?.bundle.protected) {
    x.reporter?.warn('Flow is between protected ports, skipping output.')
    return
  }
  if (port.kind === 'patch') {
    const peer = x.bridge.peerOf(port)
    if (peer === undefined) x.reporter?.warn(`patch port ${port.name} has no peer, skipping output`)
    else throughPatch(x, port, peer)
    return
  }
  if (port.tunnel !== null) {
    outputTunnel(x, port, port.tunnel)
    return
  }
  const pop = terminates(x, port)
  if (pop === 'fragment') {
    x.reporter?.warn('a fragment of a tunnel packet, skipping output')
    x.emptyReason ??= 'outer-fragment'
    return
  }
  if (pop < 0 && isHanded(x, port)) {
    x.reporter?.detail('handed to the switch itself: ARP or neighbour discovery for a port without a host')
    if (!x.handed.includes(port.dpPort)) x.handed.push(port.dpPort)
    return
  }
  commit(x)
  x.actions.push(pop < 0 ? { type: 'output', port: port.dpPort } : { type: 'tnl_pop', port: pop })
}

const flood = (x: Xlate, all: boolean): void => {
  for (const port of x.bridge.ports()) {
    if (x.error !== null) return
    if (port.no !== x.flow[K_IN_PORT] && (all || !port.flags.noFlood)) outputTo(x, port.no)
  }
}

export const output = (x: Xlate, port: number): void => {
  switch (port) {
    case OFPP_IN_PORT:
      outputTo(x, x.flow[K_IN_PORT]!)
      break
    case OFPP_TABLE:
      runTable(x, 0, x.flow[K_IN_PORT]!)
      break
    case OFPP_NORMAL:
      normal(x, outputTo)
      break
    case OFPP_FLOOD:
    case OFPP_ALL:
      flood(x, port === OFPP_ALL)
      break
    case OFPP_CONTROLLER:
      x.emptyReason ??= 'no-controller'
      break
    case OFPP_NONE:
      break
    default:
      if (port !== x.flow[K_IN_PORT]) outputTo(x, port)
      else x.reporter?.warn('skipping output to input port')
  }
}

export const outputReg = (x: Xlate, src: Subfield): void => {
  const port = readSubfield(x, src)
  if (port > 0xffffn) {
    x.reporter?.warn(`output port ${port} is out of range`)
    return
  }
  x.reporter?.detail(`output port is ${port}`)
  output(x, Number(port))
}
