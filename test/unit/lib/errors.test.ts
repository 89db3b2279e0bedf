import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CodedError, errorCode, errorText, isSystemError, outOfRange } from '../../../src/lib/errors.ts'

const thrown = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

test('a failed system call is told from other errors, and both have codes', () => {
  const system = thrown(() => readFileSync('/nonexistent/file'))
  expect(isSystemError(system)).toBe(true)
  expect(errorCode(system)).toBe('ENOENT')
  const coded = new CodedError('overlap', 'rule overlaps another')
  expect(isSystemError(coded)).toBe(false)
  expect(errorCode(coded)).toBe('overlap')
  expect(errorCode('a text')).toBeUndefined()
  expect(errorCode(new Error('plain'))).toBeUndefined()
})

test('the text of an error is one line with its causes', () => {
  const inner = new Error('no such\n  interface')
  expect(errorText(new Error('cannot open tap0', { cause: inner }))).toBe('cannot open tap0: no such interface')
  expect(errorText('thrown text')).toBe('thrown text')
  expect(errorText(new Error('same', { cause: new Error('same') }))).toBe('same')
})

test('a chain of causes that bites its tail ends', () => {
  const a = new Error('a')
  const b = new Error('b', { cause: a })
  a.cause = b
  expect(errorText(b)).toMatch(/^b: a/)
})

test('a value out of range is named with its bounds', () => {
  expect(outOfRange('priority', 70000, 0, 65535)).toBe('priority 70000 is out of range: expected 0..65535')
})
