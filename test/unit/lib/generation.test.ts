import { expect, test } from 'vitest'
import { Generation } from '../../../src/lib/generation.ts'

test('a watch reports each change once, and changes between two looks as one', () => {
  const generation = new Generation()
  generation.bump()
  const a = generation.watch()
  const b = generation.watch()
  expect(a.changed()).toBe(false)
  generation.bump()
  generation.bump()
  expect([a.changed(), a.changed()]).toEqual([true, false])
  expect(b.changed()).toBe(true)
  expect(generation.value).toBe(3)
})

test('a listener hears every bump until it is taken off', () => {
  const generation = new Generation()
  let heard = 0
  const off = generation.onBump(() => {
    heard++
  })
  generation.bump()
  off()
  generation.bump()
  expect(heard).toBe(1)
})
