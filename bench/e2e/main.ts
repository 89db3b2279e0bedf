/**
 * End-to-end bench: the offloaded path and the datapath path of the switch next to a raw splice of two TAPs, interleaved in one run, since
 * guests and switch share the machine and its moods; read the ratios.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Testbed } from '../../test/system/kit/testbed.ts'
import { type Figures, measure } from './measure.ts'
import { type Setup, splice, tapswitch } from './setups.ts'

const HELP = `Usage: sudo bench/e2e/run [--smoke] [--rounds N] [--seconds N] [--json FILE]

Prints medians of all rounds and ratios to the splice, and writes every figure as JSON (build/bench/e2e.json unless told).
--smoke: one short round, to see that it works; its figures mean little.`

const { values } = parseArgs({
  options: {
    smoke: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    json: { type: 'string', default: fileURLToPath(new URL('../../build/bench/e2e.json', import.meta.url)) },
    help: { type: 'boolean', default: false },
  },
})
const rounds = values.smoke ? 1 : Number(values.rounds)
const seconds = values.smoke ? 1 : Number(values.seconds)
const pings = values.smoke ? 30 : 200

const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((x, y) => x - y)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const COLUMNS: readonly (readonly [keyof Figures, string, (value: number) => string])[] = [
  ['tcp', 'TCP Gbit/s', (v) => v.toFixed(2)],
  ['packets', '64 B kpps', (v) => (v / 1000).toFixed(0)],
  ['loss', 'loss %', (v) => v.toFixed(0)],
  ['rttMin', 'RTT min us', (v) => v.toFixed(0)],
  ['rttAvg', 'RTT avg us', (v) => v.toFixed(0)],
]

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .join('\n')
}

const report = (medians: ReadonlyMap<string, Figures>): string => {
  const limit = medians.get('splice')!
  const rows = [['', ...COLUMNS.map(([, title]) => title)]]
  for (const [name, figures] of medians) {
    rows.push([name, ...COLUMNS.map(([key, , format]) => format(figures[key]))])
    if (name === 'splice') continue
    const ratio = (key: keyof Figures): string => (key === 'loss' ? '' : `x${(figures[key] / limit[key]).toFixed(2)}`)
    rows.push(['  of the splice', ...COLUMNS.map(([key]) => ratio(key))])
  }
  return table(rows)
}

const run = async (setups: readonly Setup[]): Promise<void> => {
  const results = new Map<string, Figures[]>(setups.map((setup) => [setup.name, []]))
  for (let round = 1; round <= rounds; round++)
    for (const setup of setups) {
      const figures = await measure(setup, seconds, pings)
      results.get(setup.name)!.push(figures)
      console.log(
        `round ${round} ${setup.name}: ${COLUMNS.map(([k, title, f]) => `${title} ${f(figures[k])}`).join(', ')}`,
      )
    }
  const middle = (all: readonly Figures[]): Figures =>
    Object.fromEntries(COLUMNS.map(([key]) => [key, median(all.map((f) => f[key]))])) as unknown as Figures
  const medians = new Map([...results].map(([name, all]) => [name, middle(all)]))
  console.log(`\nmedians of ${rounds} rounds of ${seconds} s, ${cpus().length} cores, Node ${process.versions.node}\n`)
  console.log(report(medians))
  mkdirSync(dirname(values.json), { recursive: true })
  const json = {
    node: process.versions.node,
    cores: cpus().length,
    rounds,
    seconds,
    results: Object.fromEntries(results),
    medians: Object.fromEntries(medians),
  }
  writeFileSync(values.json, `${JSON.stringify(json, null, 2)}\n`)
  console.log(`\nwritten to ${values.json}`)
  for (const [name, figures] of medians)
    if (!(figures.tcp > 0) || !(figures.packets > 0)) throw new Error(`${name} carried nothing`)
}

if (values.help) console.log(HELP)
else {
  const bed = new Testbed()
  const interrupted = (): void => {
    void bed.close().finally(() => process.exit(130))
  }
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  try {
    await run([await splice(bed), await tapswitch(bed, 'offloaded', true), await tapswitch(bed, 'datapath', false)])
  } finally {
    await bed.close()
  }
}
