/**
 * Reads capability profiles. A profile is a YAML file; built-in ones lie in profiles/ and go by their bare names.
 * Every complaint names file, line, column, key, and what was expected.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import type { OdpAction, SetHeader } from '../flow/odp.ts'
import type { Profile } from './profile.ts'
import { PROFILE_FIELDS, profileFieldByName } from './profile-fields.ts'

/** All complaints about a profile, one a line. */
export class ProfileError extends Error {}

/** Record, not list, so that a new action cannot be forgotten. False: of the datapath alone. */
const ACTIONS: Record<OdpAction['type'], boolean> = {
  output: true,
  push_vlan: true,
  pop_vlan: true,
  push_mpls: true,
  pop_mpls: true,
  set: true,
  recirc: true,
  clone: true,
  trunc: true,
  tnl_push: true,
  tnl_pop: true,
  // A second pass through the datapath's rules is nothing that a NIC does.
  reenter: false,
  drop: true,
}

const HEADERS: Record<SetHeader, true> = {
  eth: true,
  mpls: true,
  ipv4: true,
  ipv6: true,
  arp: true,
  nd: true,
  tcp: true,
  udp: true,
  sctp: true,
  icmp: true,
  icmpv6: true,
  skb_mark: true,
  skb_priority: true,
}

const actionNames = (Object.keys(ACTIONS) as OdpAction['type'][]).filter((name) => ACTIONS[name])
const headerNames = Object.keys(HEADERS) as SetHeader[]

const field = z.string().superRefine((name, ctx) => {
  if (profileFieldByName(name) === undefined)
    ctx.addIssue({
      code: 'custom',
      message: `no match field "${name}"${similar(name)}; names as in ovs-fields(7) expected`,
    })
})

const oneOf = <T extends string>(what: string, names: readonly [T, ...T[]]) =>
  z.enum(names, {
    error: ({ input }) =>
      input === 'reenter'
        ? `no NIC does "reenter", a second pass through the datapath; one of ${names.join(', ')} expected`
        : `no ${what} "${String(input)}"; one of ${names.join(', ')} expected`,
  })

const allOr = <T extends z.ZodType>(item: T, what: string) =>
  z.union([z.literal('all'), z.array(item)], { error: (issue) => unionMessage(issue, what) })

/** A list with a wrong member is told about that member, anything else about the two forms. */
const unionMessage = (issue: { input?: unknown }, what: string): string | undefined =>
  Array.isArray(issue.input) ? undefined : `"all" or a list of ${what} expected`

const schema = z.strictObject({
  name: z
    .string('a name expected')
    .regex(/^[A-Za-z0-9._-]{1,32}$/, 'a name of 1 to 32 letters, digits, ".", "_" or "-" expected'),
  'table-size': z
    .number('a number of rules, 1..1048576, expected')
    .int()
    .min(1, '1..1048576 expected')
    .max(1 << 20, '1..1048576 expected'),
  match: allOr(field, 'match fields'),
  'exact-only': z.array(field, 'a list of match fields expected').default([]),
  actions: allOr(oneOf('action', actionNames as [OdpAction['type']]), 'actions'),
  set: allOr(oneOf('header', headerNames as [SetHeader]), 'headers').default([]),
  'max-outputs': z
    .number('a number of outputs, 1..1024, expected')
    .int()
    .min(1, '1..1024 expected')
    .max(1024, '1..1024 expected'),
})

const similar = (name: string): string => {
  const near = PROFILE_FIELDS.map((f) => ({ name: f.name, d: distance(f.name, name) })).sort((a, b) => a.d - b.d)[0]
  return near && near.d <= 2 ? ` (did you mean ${near.name}?)` : ''
}

/** Levenshtein. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}

interface Complaint {
  readonly path: readonly PropertyKey[]
  /** An unknown key of the object at `path`. */
  readonly key?: string
  readonly message: string
}

const KEYS = Object.keys(schema.shape)

const complaintsOf = (issue: z.core.$ZodIssue, at: readonly PropertyKey[] = []): Complaint[] => {
  const path = [...at, ...issue.path]
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path, key, message: `unknown key "${key}"; one of ${KEYS.join(', ')} expected` }))
  if (issue.code === 'invalid_union') {
    const deeper = issue.errors.flat().filter((inner) => inner.path.length > 0)
    if (deeper.length > 0) return deeper.flatMap((inner) => complaintsOf(inner, path))
  }
  const missing = issue.code === 'invalid_type' && issue.input === undefined && path.length === 1
  return [{ path, message: missing ? `missing; ${issue.message}` : issue.message }]
}

const offsetOf = (doc: Document, { path, key }: Complaint): number => {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = depth === 0 ? doc.contents : doc.getIn(path.slice(0, depth), true)
    if (!isNode(node) || !node.range) continue
    if (key !== undefined && isMap(node)) {
      const pair = node.items.find((item) => isNode(item.key) && String(item.key) === key)
      if (pair && isNode(pair.key) && pair.key.range) return pair.key.range[0]
    }
    return node.range[0]
  }
  return 0
}

const names = <T extends string>(given: 'all' | readonly T[], all: readonly T[]): ReadonlySet<T> =>
  new Set(given === 'all' ? all : given)

const fieldNames = (given: 'all' | readonly string[]): ReadonlySet<string> =>
  names(
    given === 'all' ? 'all' : given.map((name) => profileFieldByName(name)!.name),
    PROFILE_FIELDS.map((f) => f.name),
  )

/** Parses a profile; `file` is only for messages. Throws ProfileError. */
export const parseProfile = (text: string, file: string): Profile => {
  const lines = new LineCounter()
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const where = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  const syntax = doc.errors[0]
  if (syntax) throw new ProfileError(`${where(syntax.pos[0])}: ${syntax.message}`)
  const result = schema.safeParse(doc.toJS({ maxAliasCount: 100 }) ?? {}, { reportInput: true })
  if (!result.success)
    throw new ProfileError(
      result.error.issues
        .flatMap((issue) => complaintsOf(issue))
        .map((c) => `${where(offsetOf(doc, c))}: ${c.path.join('.') || 'profile'}: ${c.message}`)
        .join('\n'),
    )
  const { data } = result
  const match = fieldNames(data.match)
  const exactOnly = fieldNames(data['exact-only'])
  for (const [i, name] of data['exact-only'].entries())
    if (!match.has(profileFieldByName(name)!.name))
      throw new ProfileError(
        `${where(offsetOf(doc, { path: ['exact-only', i], message: '' }))}: exact-only.${i}: ${name} is not in "match"`,
      )
  return {
    name: data.name,
    tableSize: data['table-size'],
    match,
    exactOnly,
    actions: names(data.actions, actionNames),
    set: names(data.set, headerNames),
    maxOutputs: data['max-outputs'],
  }
}

const BUILT_IN = new URL('../../profiles/', import.meta.url).pathname

/** Names of the built-in profiles, sorted. */
export const builtInProfiles = (): string[] =>
  readdirSync(BUILT_IN)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort()

/**
 * Loads a built-in profile by its name ('tiny'), or any by its file: whatever has a '/' or ends in .yaml or .yml. Relative files are looked for in
 * `directory`. Throws ProfileError, also when there is no such file.
 */
export const loadProfile = (nameOrFile: string, directory = process.cwd()): Profile => {
  const isFile = nameOrFile.includes('/') || /\.ya?ml$/.test(nameOrFile)
  const builtIn = builtInProfiles()
  if (!isFile && !builtIn.includes(nameOrFile))
    throw new ProfileError(
      `no built-in profile "${nameOrFile}"; one of ${builtIn.join(', ')} or a file (with a "/" or ending in .yaml) expected`,
    )
  const file = isFile
    ? isAbsolute(nameOrFile)
      ? nameOrFile
      : resolve(directory, nameOrFile)
    : `${BUILT_IN}${nameOrFile}.yaml`
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new ProfileError(`${file}: ${code === 'ENOENT' ? 'no such file' : message}`)
  }
  return parseProfile(text, file)
}
