import { expect, test } from 'vitest'
import { formatTable } from '../../../src/cli/table.ts'

test('columns are aligned, numbers to the right, what is not there is a dash; no line ends in a space', () => {
  const rows = [
    ['vf0', 5, undefined, 'x'],
    ['uplink0', 12345, true, undefined],
  ]
  expect(formatTable(['name', 'packets', 'up', 'last one'], rows, false).split('\n')).toEqual([
    'NAME     PACKETS  UP    LAST ONE',
    'vf0            5  -     x',
    'uplink0    12345  true  -',
    '',
  ])
})

test('headings are bold on a terminal only', () => {
  expect(formatTable(['a'], [], true)).toBe('\u001b[1mA\u001b[22m\n')
  expect(formatTable(['a'], [], false)).toBe('A\n')
})

test('a column of numbers with one that is missing is no column of numbers', () => {
  expect(
    formatTable(
      ['n', 'x'],
      [
        [1, 'a'],
        [undefined, 'b'],
      ],
      false,
    ),
  ).toBe('N  X\n1  a\n-  b\n')
})
