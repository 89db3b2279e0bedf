import { expect, it } from 'vitest'
import * as binding from '../../../src/native/binding.ts'
import * as slot from '../../../src/packet/slot.ts'
import { RX_BATCH, RX_ROOM } from '../../../src/port/thread-status.ts'

/** The constants of both contract files that the addon must share: exported numbers in capitals. */
const constants = (module: Record<string, unknown>): [string, number][] =>
  Object.entries(module).filter((entry): entry is [string, number] => typeof entry[1] === 'number')

const layout = binding.native.layout()

it.each(constants(binding))('binding.ts: %s is %d on both sides', (name, value) => {
  expect(layout[name]).toBe(value)
})

/** Words that only TypeScript reads and writes: the addon clears them as a block. */
const pipeline = constants(slot).filter(
  ([name, value]) => name.startsWith('M_') && value >= slot.M_FIRST_PIPE && name !== 'M_FIRST_PIPE',
)
const shared = constants(slot).filter(([name]) => !pipeline.some(([own]) => own === name))

it.each(shared)('slot.ts: %s is %d on both sides', (name, value) => {
  expect(layout[name]).toBe(value)
})

it('the addon knows no name that TypeScript does not', () => {
  const known = new Set([...constants(binding), ...constants(slot)].map(([name]) => name))
  expect(Object.keys(layout).filter((name) => !known.has(name))).toEqual([])
})

it('the pipeline words lie within the block that a receive clears', () => {
  for (const [, value] of pipeline) expect(value).toBeLessThan(slot.META_WORDS)
  expect(pipeline.length).toBeGreaterThan(5)
})

it('a batch of a worker has the places that a packed super-frame may need', () => {
  expect(RX_ROOM - RX_BATCH).toBe(binding.RX_SPARE)
})
