import { expect, test } from 'vitest'
import { OuterFlows } from '../../../src/offload/outer-flows.ts'
import { FlowRecord } from '../../../src/offload/record.ts'
import { outerKey, outerMatch, P0, POP } from './tunnel-rig.ts'

const recordOf = (id: number, peer?: string): FlowRecord =>
  new FlowRecord(
    { id, ufid: '', match: outerMatch(P0, peer), actions: [POP] },
    { state: 'offloaded', eswitch: 'nic0', rule: id, since: 0 },
    0,
  )

test('the flow of a key is the one that is there now', () => {
  const flows = new OuterFlows()
  const key = outerKey('10.0.0.2', P0)
  expect(flows.find(key)).toBeUndefined()
  const any = recordOf(1)
  flows.add(any)
  expect(flows.find(key)).toBe(any)
  const exact = recordOf(2, '10.0.0.2')
  flows.add(exact)
  expect(flows.find(key)).toBe(exact)
  expect(flows.find(outerKey('10.0.0.3', P0))).toBe(any)
  flows.delete(exact)
  expect(flows.find(key)).toBe(any)
  flows.delete(any)
  expect(flows.find(key)).toBeUndefined()
})
