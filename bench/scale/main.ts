/** What the number of flows costs; `scripts/bench --scale` is the command. No kernel and no peer has a part in it: whole tiers in one thread, each point in a process of its own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { must } from '../../test/system/kit/process.ts'
import { machine } from '../e2e/machine.ts'
import { asText } from '../e2e/report/table.ts'
import type { Figures, Kind } from './figures.ts'
import { KEPT, writeScaleDocs } from './page.ts'
import { judgeScale, mediansOf, type Point, rowsOf, type ScaleResult, shortScale } from './result.ts'

const HELP = `Usage: sudo scripts/bench --scale [OPTION]...

Measures what frames, flows and their upkeep cost from 1,000 to 1,000,000 offloaded flows, and masked flows in the datapath; ends with a line for a bound that is missed; exit 1 then.

  --rounds N   how often each point is measured, in turns (3)
  --json FILE  where the figures go (build/bench/scale.json)
  --keep       keep the figures as bench/scale.json too, and make docs/performance.md's from them
  --docs       only make docs/performance.md's figures from bench/scale.json
  --smoke      a few flows and frames, to see that it works; nothing is judged`

const { values } = parseArgs({
  options: {
    scale: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string', default: fileURLToPath(new URL('../../build/bench/scale.json', import.meta.url)) },
    keep: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const POINT = fileURLToPath(new URL('point.ts', import.meta.url))
/** MiB: a million flows with tier 1's objects. */
const HEAP = 12_000
const LIMIT_MS = 15 * 60_000

interface Work {
  readonly flows: number
  readonly masks: number
  readonly kinds: readonly Kind[]
}

const EXACT: readonly Kind[] = ['nic', 'table', 'switch']
const exact = (flows: number): Work => ({ flows, masks: 1, kinds: EXACT })
const masked = (flows: number, masks: number): Work => ({ flows, masks, kinds: ['datapath'] })

/** In a smoke run as little as shows everything once: the batches of many rules, the whole switch, masks. */
const NIC = values.smoke
  ? [
      { ...exact(9000), kinds: ['nic'] as const },
      { ...exact(500), kinds: ['table', 'switch'] as const },
    ]
  : [1000, 10_000, 100_000, 1_000_000].map(exact)
const DATAPATH = values.smoke
  ? [masked(2000, 20)]
  : [masked(1000, 10), masked(1000, 100), masked(100_000, 10), masked(100_000, 100)]

interface Spec {
  readonly work: Work
  readonly kind: Kind
}

/** Points that one process is for. */
const measure = async (specs: readonly Spec[]): Promise<Figures[]> => {
  const node = [`--max-old-space-size=${HEAP}`, '--expose-gc', '--import', './scripts/typescript.mjs']
  const names = specs.map(({ kind, work: { flows, masks } }) => `${kind}:${flows}:${masks}`)
  const started = performance.now()
  const argv = [process.execPath, ...node, POINT, values.smoke ? 'smoke' : 'full', ...names]
  const lines = (await must(argv, { timeout: LIMIT_MS })).trim().split('\n')
  const found = lines.map((line) => JSON.parse(line) as Figures)
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  found.forEach((figures, i) => {
    const text = Object.entries(figures).map(([name, value]) => `${name} ${value.toPrecision(4)}`)
    console.log(`${names[i]}, ${seconds} s: ${text.join(', ')}`)
  })
  return found
}

const pointsOf = (works: readonly Work[], found: ReadonlyMap<Work, readonly Figures[]>): Point[] =>
  works.map((work) => ({ flows: work.flows, masks: work.masks, figures: mediansOf(found.get(work)!) }))

const collect = async (rounds: number): Promise<ScaleResult> => {
  const where = await machine()
  const works = [...NIC, ...DATAPATH]
  const found = new Map<Work, Figures[]>(works.map((work) => [work, []]))
  const specs = works.flatMap((work) => work.kinds.map((kind) => ({ work, kind })))
  // In a smoke run memory means nothing, and most of a process's time is its start.
  const processes = values.smoke ? [specs] : specs.map((spec) => [spec])
  for (let round = 0; round < rounds; round++)
    for (const together of processes)
      for (const [i, figures] of (await measure(together)).entries()) found.get(together[i]!.work)!.push(figures)
  return { machine: where, rounds, nic: pointsOf(NIC, found), datapath: pointsOf(DATAPATH, found) }
}

const write = (path: string, result: ScaleResult): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`)
  console.log(`\nwritten to ${path}`)
}

const bench = async (rounds: number): Promise<number> => {
  const result = await collect(rounds)
  console.log(`\n${asText(rowsOf(result.nic))}\n\n${asText(rowsOf(result.datapath))}`)
  if (values.smoke) return 0
  write(values.json, result)
  if (values.keep) {
    write(KEPT, result)
    writeScaleDocs()
  }
  const short = judgeScale(result).filter(({ reached }) => !reached)
  for (const judgement of short) console.log(shortScale(judgement))
  return short.length > 0 ? 1 : 0
}

const rounds = values.smoke ? 1 : Number(values.rounds)
if (values.help) console.log(HELP)
else if (values.docs) writeScaleDocs()
else if (Number.isInteger(rounds) && rounds > 0) process.exitCode = await bench(rounds)
else {
  console.error(`scripts/bench: --rounds takes a number above 0; got: ${values.rounds}`)
  process.exitCode = 2
}
