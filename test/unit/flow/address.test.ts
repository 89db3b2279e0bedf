import { expect, test } from 'vitest'
import { addressBytes, addressOfWords, addressText, addressToWords } from '../../../src/flow/address.ts'

test.each([
  ['192.0.2.1', [192, 0, 2, 1]],
  ['2001:db8::1', [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
  ['::ffff:10.0.0.1', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]],
])('%s and its bytes', (text, bytes) => {
  expect([...addressBytes(text)!]).toEqual(bytes)
  expect(addressText(Uint8Array.from(bytes))).toBe(text)
})

test.each(['', '192.0.2', '192.0.2.256', '2001:db8::1::2', 'flow'])('%s is no address', (text) => {
  expect(addressBytes(text)).toBeUndefined()
})

test.each(['192.0.2.1', '255.255.255.255', '2001:db8::ff00:1', 'fe80::1'])('%s as key words and back', (text) => {
  const words = new Int32Array(8).fill(-1)
  addressToWords(addressBytes(text)!, words, 2)
  expect(addressText(addressOfWords(words, 2)!)).toBe(text)
  expect([words[1], words[6]]).toEqual([-1, -1])
})

test('zero words stand for no address', () => {
  expect(addressOfWords(new Int32Array(4), 0)).toBeUndefined()
})
