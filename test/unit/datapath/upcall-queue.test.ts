import fc from 'fast-check'
import { expect, test } from 'vitest'
import { UpcallQueue } from '../../../src/datapath/upcall-queue.ts'
import { WAITING_LIMITS, Waiting } from '../../../src/datapath/waiting.ts'
import { META_WORDS } from '../../../src/packet/slot.ts'
import { MAX_PORTS } from '../../../src/port/contract.ts'

test('ports take turns, each in order: as lists by port do', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(0, 1, 2, MAX_PORTS - 1) },
    { weight: 2, arbitrary: fc.constant('take' as const) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const meta = new Int32Array(steps.length * META_WORDS)
      const waiting = new Waiting(meta, WAITING_LIMITS)
      const queue = new UpcallQueue(meta)
      /** The port whose turn it is comes first. */
      const expected = new Map<number, number[]>()
      const take = (): number => {
        for (const [port, slots] of expected) {
          expected.delete(port)
          const slot = slots.shift()!
          if (slots.length > 0) expected.set(port, slots)
          return slot
        }
        return -1
      }
      for (const [slot, port] of steps.entries()) {
        if (port === 'take') {
          expect(queue.take()).toBe(take())
        } else {
          waiting.stamp(slot, slot, port)
          queue.add(slot)
          const slots = expected.get(port)
          if (slots) slots.push(slot)
          else expected.set(port, [slot])
        }
        expect(queue.empty).toBe(expected.size === 0)
      }
    }),
  )
})
