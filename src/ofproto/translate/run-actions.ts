/** Carries out a list of OpenFlow actions: which family does which. */
import { K_IN_PORT } from '../../flow/key.ts'
import type { OfpAction } from '../../flow/ofp.ts'
import type { Xlate } from './context.ts'
import { decTtl, load, modField, move, popQueue, setFieldMasked, setQueue, writeMetadata } from './field-actions.ts'
import { popMpls, pushMpls } from './mpls.ts'
import { output, outputReg } from './output.ts'
import { clearActions, resubmit, runCloned, runTable, writeActions } from './pipeline.ts'
import { modVlanPcp, modVlanVid, pushVlan, stripVlan } from './vlan-actions.ts'

/** False: the rest of the list is not carried out. */
const runAction = (x: Xlate, action: OfpAction): boolean => {
  switch (action.type) {
    case 'output':
      output(x, action.port)
      break
    case 'output_reg':
      outputReg(x, action.src)
      break
    case 'push_vlan':
      pushVlan(x, action.ethertype)
      break
    case 'strip_vlan':
      stripVlan(x)
      break
    case 'mod_vlan_vid':
      modVlanVid(x, action.vid)
      break
    case 'mod_vlan_pcp':
      modVlanPcp(x, action.pcp)
      break
    case 'push_mpls':
      pushMpls(x, action.ethertype)
      break
    case 'pop_mpls':
      popMpls(x, action.ethertype)
      break
    case 'mod':
      modField(x, action.name, action.field, action.value)
      break
    case 'set_field':
      setFieldMasked(x, action.field, action.value, action.mask)
      break
    case 'load':
      load(x, action.dst, action.value)
      break
    case 'move':
      move(x, action.src, action.dst)
      break
    case 'dec_ttl':
      return decTtl(x)
    case 'resubmit':
      resubmit(x, action.port, action.table)
      break
    case 'goto_table':
      runTable(x, action.table, x.flow[K_IN_PORT]!)
      break
    case 'clone':
      runCloned(x, action.actions)
      break
    case 'set_queue':
      setQueue(x, action.queue)
      break
    case 'pop_queue':
      popQueue(x)
      break
    case 'clear_actions':
      clearActions(x)
      break
    case 'write_actions':
      writeActions(x, action.actions)
      break
    case 'write_metadata':
      writeMetadata(x, action.value, action.mask)
      break
    case 'note':
      break
  }
  return true
}

export const runActions = (x: Xlate, actions: readonly OfpAction[]): void => {
  if (actions.length === 0) x.reporter?.drop()
  for (const action of actions) {
    if (x.error !== null) return
    x.reporter?.action(action)
    if (!runAction(x, action)) return
  }
}
