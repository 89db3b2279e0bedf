import { afterEach, beforeEach, expect, it } from 'vitest'
import { native } from '../../../src/native/binding.ts'

let fd: number
beforeEach(() => {
  fd = native.eventfd()
})
afterEach(() => native.close(fd))

it('a wait ends by a signal, and leaves it to the next one until it is drained', () => {
  const start = performance.now()
  native.eventfdSignal(fd)
  native.eventfdWait(fd, 60_000)
  native.eventfdWait(fd, 60_000)
  expect(performance.now() - start).toBeLessThan(30_000)
  native.eventfdDrain(fd)
  const drained = performance.now()
  native.eventfdWait(fd, 20)
  expect(performance.now() - drained).toBeGreaterThan(15)
})
