import { describe, expect, it } from 'vitest'
import { quoted, readPage } from './page.ts'
import { difference, normal } from './shown.ts'

describe('shown output', () => {
  it('keeps what names something and forgets what was measured', () => {
    expect(normal('vf0  10.2.0.1/24  1500 in 1.5 s, 0% loss, 0x0800')).toBe('vf0 10.2.0.1/24 N in N s, 0% loss, 0x0800')
    expect(normal('packets:12, used:0.311s, in_port(2), actions:3')).toBe('packets:N, used:Ns, in_port(2), actions:3')
    expect(normal('02:00:00:00:02:01 fd02::1')).toBe('02:00:00:00:02:01 fd02::1')
    expect(normal('ufid:d90365db-9cac-afde-d07c-eccb5b6b8d9b')).toBe('ufid:UFID')
  })

  const printed = 'one 1\ntwo 2\n\nthree 3\nfour\n'
  it.each([
    ['all of it', ['one 5', 'two 2', 'three 3', 'four']],
    ['its end left out', ['one 1', '...']],
    ['its beginning left out', ['...', 'three 4', 'four']],
    ['its middle left out', ['one 1', '...', 'four']],
    ['parts of lines left out', ['o...', 't...o 2', 'th...3', '...']],
  ])('is the same with %s', (_, shown) => {
    expect(difference(shown, printed)).toBeUndefined()
  })
  it.each([
    ['a word differs', ['one 1', 'too 2', 'three 3', 'four']],
    ['a line is missing', ['one 1', 'three 3', 'four']],
    ['the order differs', ['...', 'three 3', 'two 2', '...']],
    ['the beginning is left out without a mark', ['two 2', '...']],
    ['the end is left out without a mark', ['one 1', 'two 2']],
    ['part of a line is not there', ['o...x 1', '...']],
  ])('is not the same when %s', (_, shown) => {
    expect(difference(shown, printed)).toBeDefined()
  })
})

describe('a page', () => {
  it('gives its blocks with their settings', () => {
    const { consoles, code } = readPage(
      'x.md',
      '```console\n$ a\n```\n<!-- run: lab l2 -->\n```console\n$ b \\\n  c\nout\n$ d\n```\n<!-- run: offline; exit 2 -->\n```console\n$ e\n```\n```console\n$ f\n```\n```yaml\nk: 1\n```\n',
    )
    expect(consoles.map(({ setting, exit }) => ({ setting, exit }))).toEqual([
      { setting: undefined, exit: 0 },
      { setting: { kind: 'lab', lab: 'l2' }, exit: 0 },
      { setting: { kind: 'offline' }, exit: 2 },
      { setting: { kind: 'lab', lab: 'l2' }, exit: 0 },
    ])
    expect(consoles[1]!.commands).toEqual([
      { text: 'b   c', output: ['out'] },
      { text: 'd', output: [] },
    ])
    expect(code).toMatchObject([{ language: 'yaml', lines: ['k: 1'] }])
  })

  it('with an unknown setting is refused', () => {
    expect(() => readPage('x.md', '<!-- run: on the moon -->')).toThrow(/x.md:1: "on the moon" is no setting/)
  })

  it('gives its tables, with bars in cells', () => {
    const { tables } = readPage('x.md', '## H\n\n| a | b |\n| --- | --- |\n| `x\\|y` | 2 |\n\ntext')
    expect(tables).toEqual([{ page: 'x.md', line: 3, heading: 'H', columns: ['a', 'b'], rows: [['`x|y`', '2']] }])
    expect(quoted('`a` and `b c`')).toEqual(['a', 'b c'])
  })
})
