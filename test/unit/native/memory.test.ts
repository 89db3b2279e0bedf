import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { adviseBig, BIG_BYTES } from '../../../src/lib/words.ts'
import { native } from '../../../src/native/binding.ts'

/** Whether the kernel gives big pages to who asks; the word in brackets is the choice. */
const given = (): boolean => {
  try {
    return !readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').includes('[never]')
  } catch {
    return false
  }
}

describe('hugePages', () => {
  it('is about whole pages inside of the array alone', () => {
    expect(native.hugePages(new Int32Array(0))).toBe(false)
    expect(native.hugePages(new Int32Array(1 << 18))).toBe(false)
  })

  it('leaves what is in the array', () => {
    const words = new Int32Array(new SharedArrayBuffer(8 << 20)).fill(7)
    const advised = native.hugePages(words)
    if (given()) expect(advised).toBe(true)
    expect(words.every((word) => word === 7)).toBe(true)
  })
})

it('only big arrays are asked for', () => {
  const asked: number[] = []
  const advise = (words: Int32Array): void => void asked.push(words.byteLength)
  for (const bytes of [BIG_BYTES - 4, BIG_BYTES, 2 * BIG_BYTES]) adviseBig(new Int32Array(bytes / 4), advise)
  adviseBig(new Int32Array(BIG_BYTES / 4), undefined)
  expect(asked).toEqual([BIG_BYTES, 2 * BIG_BYTES])
})
