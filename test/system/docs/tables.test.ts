/** The tables of the documentation against the code's: nothing that exists is left out, nothing is told that is not there. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { VerbRegistry } from '../../../src/control/registry.ts'
import type { SwitchView } from '../../../src/control/verbs/context.ts'
import { registerVerbs } from '../../../src/control/verbs/index.ts'
import { builtInProfiles, loadProfile } from '../../../src/eswitch/profile-file.ts'
import { parseActions } from '../../../src/flow/ofp-text.ts'
import { FIELDS } from '../../../src/flow/registry.ts'
import { CHECKS } from '../../../src/offload/verdict.ts'
import { DROP_REASONS } from '../../../src/port/drop.ts'
import { TAPSWITCH } from '../kit/daemon.ts'
import { must } from '../kit/process.ts'
import { configSections } from './config-keys.ts'
import { quoted, readPage, type Table } from './page.ts'

const source = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

/** Texts of the sources in a folder. */
const filesBelow = (folder: string): string[] =>
  readdirSync(new URL(`../../../${folder}`, import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|cc)$/.test(file))
    .map((file) => source(`${folder}/${file}`))

const tablesOf = (page: string): Table[] => readPage(page, source(page)).tables

/** The table whose first column has that title. */
const table = (page: string, first: string): Table => {
  const found = tablesOf(page).find(({ columns }) => columns[0] === first)
  if (!found) throw new Error(`${page} has no table that begins with a column "${first}"`)
  return found
}
const firstColumn = ({ rows }: Table): string[] => rows.flatMap((row) => quoted(row[0]!))

/** String literals of a part of a source file, for lists that exist as types or closures only. */
const literals = (path: string, from: string, to: string): string[] => {
  const text = source(path)
  const start = text.indexOf(from)
  const end = text.indexOf(to, start)
  if (start < 0 || end < 0) throw new Error(`${path} has no part from "${from}" to "${to}"`)
  return [...text.slice(start, end).matchAll(/'([a-z0-9_ -]+)'/g)].map((match) => match[1]!)
}

describe('docs/ports.md', () => {
  it('has every drop reason, in order', () => {
    expect(firstColumn(table('docs/ports.md', 'reason'))).toEqual([...DROP_REASONS])
  })
})

describe('docs/control.md', () => {
  it('has every command of the program', async () => {
    const help = await must([process.execPath, TAPSWITCH, '--help'])
    const listed = help.slice(help.indexOf('Commands:')).matchAll(/^ {2}([a-z-]+)/gm)
    const told = new Set(firstColumn(table('docs/control.md', 'command')).map((text) => text.split(' ')[0]))
    expect([...told].sort()).toEqual([...listed].flatMap(([, name]) => (name === 'help' ? [] : [name])).sort())
  })

  it('has every verb with its usage', () => {
    const registry = new VerbRegistry()
    // Verbs look at the switch when they are called, not when they are registered.
    registerVerbs(registry, {} as SwitchView, '0')
    const rows = tablesOf('docs/control.md').filter(({ columns }) => columns[0] === 'verb')
    const told = rows.flatMap((t) => t.rows.map((row) => `${quoted(row[0]!)[0]} ${quoted(row[1]!)[0] ?? ''}`.trim()))
    expect(told.sort()).toEqual(registry.list().map(({ name, usage }) => `${name} ${usage}`.trim()))
  })
})

describe('docs/troubleshooting.md', () => {
  const code = filesBelow('src').join('\n')
  // What varies is written in capitals, or left out as `...`.
  const fixed = (words: string): string[] =>
    words.split(/\.\.\.|\b(?:NAME|FILE|LINE|COLUMN|KEY|PATH|N)\b:?/).filter((part) => /[a-z]{3}/.test(part))

  it.each(firstColumn(table('docs/troubleshooting.md', 'error')))('tells of what the program says: %s', (words) => {
    expect(fixed(words).filter((part) => !code.includes(part.trim()))).toEqual([])
  })
})

describe('docs/lab.md', () => {
  it('has functions that labs can call', () => {
    const told = firstColumn(table('docs/lab.md', 'function')).map((text) => text.split(' ')[0]!)
    expect(told.filter((name) => !source('lab/lab.sh').includes(`\n${name}() {`))).toEqual([])
  })
})

describe('docs/testing.md', () => {
  it('has every level of scripts/test', () => {
    const levels = source('scripts/test')
      .match(/^levels=\((.*)\)$/m)![1]!
      .split(' ')
    expect(firstColumn(table('docs/testing.md', 'level'))).toEqual(levels)
  })

  it.each(table('docs/testing.md', 'variable').rows)(
    'tells of variables that are looked at: %s of %s',
    (variables, of) => {
      const place = quoted(of)[0]!
      const text = filesBelow(place === 'scripts/test-native' ? 'native/test' : place).join('\n')
      for (const variable of quoted(variables)[0]!.matchAll(/[A-Z_]+(?==)/g)) expect(text).toContain(variable[0])
    },
  )
})

describe('docs/offload.md', () => {
  it('has every check, in order', () => {
    expect(firstColumn(table('docs/offload.md', 'check'))).toEqual([...CHECKS])
  })

  it('has what each check is retried on', () => {
    const real = new Map<string, Set<string>>()
    for (const [, check, events] of filesBelow('src/offload')
      .join('\n')
      .matchAll(/check: '([a-z-]+)',[\s\S]{0,500}?retryOn: \[(.*?)\]/g))
      for (const [, event] of events!.matchAll(/'([a-z-]+)'/g))
        real.set(check!, (real.get(check!) ?? new Set()).add(event!))
    const told = table('docs/offload.md', 'check').rows.map(
      (row) => [quoted(row[0]!)[0]!, new Set(quoted(row[3]!))] as const,
    )
    expect(new Map(told)).toEqual(real)
  })

  it('has every built-in profile with its size', () => {
    const told = table('docs/offload.md', 'built-in').rows.map((row) => [quoted(row[0]!)[0], Number(row[1])])
    const real = builtInProfiles().map((name) => [name, loadProfile(name).tableSize])
    expect(new Map(told as [string, number][])).toEqual(new Map(real as [string, number][]))
  })
})

describe('docs/configuration.md', () => {
  const told = new Map(
    tablesOf('docs/configuration.md')
      .filter(({ columns }) => columns[0] === 'key')
      .map((t) => [
        quoted(t.heading)[0] ?? '',
        t.rows.map((row) => ({ key: quoted(row[0]!)[0], fallback: quoted(row[1]!)[0] ?? row[1] })),
      ]),
  )
  it.each([...configSections()])('has every key of "%s" with its default', (section, keys) => {
    expect(told.get(section)).toEqual(keys)
  })
  it('has no other section', () => {
    expect([...told.keys()].sort()).toEqual([...configSections().keys()].sort())
  })
})

describe('docs/bridges.md', () => {
  const PARSER = 'src/flow/ofp-actions-parse.ts'
  const actions = table('docs/bridges.md', 'action')

  it('has every action that rules may have', () => {
    const told = actions.rows.flatMap((row) => quoted(row[0]!))
    const real = literals(PARSER, 'const PARSERS', '\n])').filter((word) => told.includes(word) || isAction(word))
    expect(real.length).toBeGreaterThan(25)
    const spellings = new Set([...real, 'drop', 'IN_PORT', 'NORMAL', 'FLOOD', 'ALL', 'LOCAL', 'TABLE'])
    expect([...new Set(told)].sort()).toEqual([...spellings].sort())
  })

  it('has examples that are accepted', () => {
    for (const row of actions.rows)
      for (const example of quoted(row[1]!)) expect(() => parseActions(example), example).not.toThrow()
  })

  it('names the actions that are refused', () => {
    const refused = literals(PARSER, 'const UNSUPPORTED', ')').flatMap((text) =>
      text.split(' ').filter((w) => w !== ''),
    )
    const told = firstColumn(table('docs/bridges.md', 'refused'))
    expect(told.sort()).toEqual(refused.sort())
    for (const name of told) expect(() => parseActions(name), name).toThrow(/not supported/)
  })

  it('has every match field', () => {
    const told = table('docs/bridges.md', 'layer').rows.flatMap((row) => quoted(row[1]!).flatMap(expand))
    expect(told.sort()).toEqual(FIELDS.map(({ name }) => name).sort())
  })

  it('has every reason of a translation that fails', () => {
    const reasons = literals('src/ofproto/translate/limits.ts', 'type DropReason', '\n\n')
    expect(firstColumn(table('docs/bridges.md', 'translation')).sort()).toEqual(reasons.sort())
  })
})

const isAction = (word: string): boolean => {
  try {
    parseActions(word)
    return true
  } catch (error) {
    return !/unknown action|not supported/.test((error as Error).message)
  }
}

/** `reg0..15` stands for sixteen names. */
const expand = (name: string): string[] => {
  const range = name.match(/^(\w*?)(\d+)\.\.(\d+)$/)
  if (!range) return [name]
  const from = Number(range[2])
  return Array.from({ length: Number(range[3]) - from + 1 }, (_, i) => `${range[1]}${from + i}`)
}
