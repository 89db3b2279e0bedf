#!/usr/bin/env node
/**
 * Keeps the import direction of the house: a folder of src/ imports only from folders of a lower rank; folders of one rank meet only in contract
 * files; the addon's binding, the command line and third-party packages have places of their own. Prints one line a violation; exit 1 if there is one.
 *
 * Usage: imports.mjs [FOLDER that holds src/]
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** Lowest first. A file directly in src/ (switch.ts, main.ts) is an area by its name. */
const RANKS = [
  ['lib'],
  ['native', 'packet'],
  ['flow'],
  ['netlink', 'port'],
  ['datapath', 'eswitch'],
  ['tunnel', 'offload'],
  ['ofproto'],
  ['control'],
  ['config'],
  ['switch'],
  ['main'],
]
const RANK = new Map(RANKS.flatMap((areas, rank) => areas.map((area) => [area, rank])))

/** What folders of one rank may import of each other. */
const SHARED = /\/(contract|profile|drop)\.ts$/

/** Who may touch the addon: what opens descriptors, the loops that use them, and what starts and wakes those. */
const BINDING = 'src/native/binding.ts'
const BINDING_USERS = /^src\/(native\/|port\/|netlink\/|(datapath|eswitch)\/(worker|spawn)\.ts$|switch(\.ts$|\/))/

/** The command line is a client: it names no tier, only the control client and the shapes of its answers. `tapswitch run` starts main. */
const CLI_MAY = /^src\/(cli\/|lib\/|packet\/|flow\/|control\/(client|replies)\.ts$|main\.ts$)/

/** Third-party packages, and the only places that may import them. */
const PACKAGES = new Map([
  ['commander', /^src\/cli\//],
  ['netlink', /^src\/netlink\//],
  ['pino', /^src\/lib\//],
  ['yaml', /^src\/(config\/|eswitch\/profile-file\.ts$)/],
  ['zod', /^src\/(config\/|eswitch\/profile-file\.ts$)/],
])

const areaOf = (path) => path.split('/')[1].replace(/\.ts$/, '')

/** Why `from` may not import `to` (both 'src/...'), or undefined. */
const forbidden = (from, to) => {
  if (!to.startsWith('src/')) return 'only files of src/ may be imported'
  if (areaOf(from) === 'cli')
    return CLI_MAY.test(to) ? undefined : 'cli may import only lib, packet, flow, control/client and main'
  if (to === BINDING && !BINDING_USERS.test(from))
    return 'the addon is for ports, netlink, the two workers and the wiring'
  const source = areaOf(from)
  const target = areaOf(to)
  if (source === target) return undefined
  const high = RANK.get(source)
  const low = RANK.get(target)
  if (high === undefined) return `${source} has no place in the import order (scripts/imports.mjs)`
  if (low === undefined) return `${target} has no place in the import order (scripts/imports.mjs)`
  if (low < high) return undefined
  if (low > high) return `${target} is above ${source}`
  return SHARED.test(to)
    ? undefined
    : `${source} and ${target} are siblings and meet only in contract.ts, profile.ts and drop.ts`
}

/** Why `from` may not import the package `name`, or undefined. */
const foreign = (from, name) => {
  if (name.startsWith('node:')) return undefined
  const where = PACKAGES.get(name)
  if (!where) return `the package ${name} is not among those that src/ may use`
  return where.test(from) ? undefined : `the package ${name} belongs to ${where.source}`
}

const packageOf = (specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')

const sources = (folder) =>
  readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return sources(path)
    return path.endsWith('.ts') ? [path] : []
  })

const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'))
let violations = 0
const files = sources(join(root, 'src'))
for (const file of files) {
  const text = readFileSync(file, 'utf8')
  const from = relative(root, file)
  for (const { fileName, pos } of ts.preProcessFile(text, true, true).importedFiles) {
    const why = fileName.startsWith('.')
      ? forbidden(from, relative(root, resolve(dirname(file), fileName)))
      : foreign(from, packageOf(fileName))
    if (why === undefined) continue
    violations++
    console.log(`${from}:${text.slice(0, pos).split('\n').length}: imports ${fileName}: ${why}`)
  }
}
console.log(`import direction: ${files.length} files, ${violations} violations`)
process.exitCode = violations > 0 ? 1 : 0
