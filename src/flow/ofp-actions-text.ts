/**
 * Action lists in ovs-ofctl's syntax (ovs-actions(7)), printed. Parsing: ofp-actions-parse.ts. Control path only.
 *
 * parse(print(a)) equals a. `output:CONTROLLER` prints as `CONTROLLER:n`; an empty list as `drop`.
 */
import { fullMask } from './fields.ts'
import { actionFieldName, formatSetValue } from './match-text-values.ts'
import { OFPP_CONTROLLER, OFPP_IN_PORT, OFPP_MAX, type OfpAction } from './ofp.ts'
import { formatPort, type PortNames } from './ofp-text-ports.ts'
import { formatSubfield } from './ofp-text-subfields.ts'
import { hex, hex4 } from './text-values.ts'

export const formatActions = (actions: readonly OfpAction[], names: PortNames = {}): string =>
  actions.length === 0 ? 'drop' : actions.map((action) => formatAction(action, names)).join(',')

/** Bytes of a packet that a controller gets when the rule does not say. */
export const CONTROLLER_MAX_LEN = 65535

export const formatAction = (action: OfpAction, names: PortNames = {}): string => {
  switch (action.type) {
    case 'output':
      return formatOutput(action.port, action.maxLen, names)
    case 'output_reg':
      return `output:${formatSubfield(action.src)}`
    case 'push_vlan':
    case 'push_mpls':
    case 'pop_mpls':
      return `${action.type}:${hex4(action.ethertype)}`
    case 'mod_vlan_vid':
      return `mod_vlan_vid:${action.vid}`
    case 'mod_vlan_pcp':
      return `mod_vlan_pcp:${action.pcp}`
    case 'mod':
      return `${action.name}:${formatSetValue(action.field, action.value, fullMask(action.field), names)}`
    case 'set_field':
      return `set_field:${formatSetValue(action.field, action.value, action.mask, names)}->${actionFieldName(action.field)}`
    case 'load':
      return `load:${hex(action.value)}->${formatSubfield(action.dst)}`
    case 'move':
      return `move:${formatSubfield(action.src)}->${formatSubfield(action.dst)}`
    case 'resubmit': {
      const port = action.port === OFPP_IN_PORT ? '' : formatPort(action.port, names)
      if (port !== '' && action.table === 255) return `resubmit:${port}`
      return `resubmit(${port},${action.table === 255 ? '' : action.table})`
    }
    case 'clone':
    case 'write_actions':
      return `${action.type}(${formatActions(action.actions, names)})`
    case 'set_queue':
      return `set_queue:${action.queue}`
    case 'note':
      return `note:${Array.from(action.data, (byte) => byte.toString(16).padStart(2, '0')).join('.')}`
    case 'write_metadata':
      return `write_metadata:${hex(action.value)}${action.mask === 0xffffffffffffffffn ? '' : `/${hex(action.mask)}`}`
    case 'goto_table':
      return `goto_table:${action.table}`
    case 'strip_vlan':
    case 'dec_ttl':
    case 'pop_queue':
    case 'clear_actions':
      return action.type
  }
}

const formatOutput = (port: number, maxLen: number | undefined, names: PortNames): string => {
  if (port === OFPP_CONTROLLER) return `CONTROLLER:${maxLen ?? CONTROLLER_MAX_LEN}`
  if (maxLen !== undefined) return `output(port=${formatPort(port, names)},max_len=${maxLen})`
  return port < OFPP_MAX ? `output:${formatPort(port, names)}` : formatPort(port, names)
}
