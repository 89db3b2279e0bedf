/** Where instructions and actions may stand: OpenFlow's order of instructions, and what an action set can hold. Control path only. */
import type { OfpAction } from './ofp.ts'
import { FlowSyntaxError } from './syntax-error.ts'

const ORDER = ['apply_actions', 'clear_actions', 'write_actions', 'write_metadata', 'goto_table'] as const
type Instruction = (typeof ORDER)[number]

/** What OpenFlow's action set cannot hold. */
const NOT_IN_SET: ReadonlySet<OfpAction['type']> = new Set(['clone', 'note', 'pop_queue', 'output_reg'])

const instructionOf = (action: OfpAction): Instruction =>
  (ORDER as readonly string[]).includes(action.type) ? (action.type as Instruction) : 'apply_actions'

/** Throws FlowSyntaxError for an instruction out of its order, given twice, or not allowed in this context. */
export const checkInstructions = (
  placed: readonly { readonly action: OfpAction; readonly at: number; readonly key: string }[],
  context: 'rule' | 'clone' | 'action set',
): void => {
  let last: Instruction = 'apply_actions'
  for (const { action, at, key } of placed) {
    const instruction = instructionOf(action)
    if (instruction !== 'apply_actions' && context !== 'rule') {
      const where = context === 'clone' ? 'clone(...)' : 'write_actions(...)'
      throw new FlowSyntaxError(`${key} is not allowed inside ${where}`, at, key, 'an action, not an instruction')
    }
    if (context === 'action set' && NOT_IN_SET.has(action.type)) {
      throw new FlowSyntaxError(`${key} cannot be in an action set`, at, key, 'an action that OpenFlow allows there')
    }
    if (instruction === last && instruction !== 'apply_actions') {
      throw new FlowSyntaxError(`${key} is given twice`, at, key, 'each instruction at most once')
    }
    if (ORDER.indexOf(instruction) < ORDER.indexOf(last)) {
      throw new FlowSyntaxError(`${key} comes after ${last}`, at, key, `the order ${ORDER.join(', ')}`)
    }
    last = instruction
  }
}
