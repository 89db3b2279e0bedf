/** The switch beside its limits and its peers, in one run; scripts/bench is the command. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { machine } from './machine.ts'
import { WORK } from './measure.ts'
import { METRICS } from './metrics.ts'
import { compile } from './programs.ts'
import { RESULT, writeDocs } from './report/files.ts'
import { type Result, ratiosOf } from './report/result.ts'
import { asText, figureRows, ratioRows } from './report/table.ts'
import { type Judgement, judge, shortLine } from './report/targets.ts'
import { closeAll, type Plan, runScenario } from './run.ts'
import { SCENARIOS, type Scenario } from './scenario.ts'
import { KINDS } from './setups/index.ts'
import type { SetupName } from './setups/setup.ts'

const HELP = `Usage: sudo scripts/bench [OPTION]...

Measures the switch beside raw splices of its TAPs, Open vSwitch and the kernel, and ends with a line for each figure that falls short; exit 1 if there is one.

  --scenario NAME  only this one, may be repeated: ${SCENARIOS.map(({ name }) => name).join(' ')}
  --setup NAME     only this one, may be repeated: ${KINDS.map(({ name }) => name).join(' ')}
  --work NAME      only this, may be repeated: ${WORK.join(' ')}
  --rounds N       how often each is measured, in turns (3)
  --seconds N      of each transfer (2)
  --limit N        minutes after which the run is given up (120)
  --json FILE      where the figures go (build/bench/result.json)
  --keep           keep the figures as bench/result.json too, and make docs/performance.md's from them
  --docs           only make docs/performance.md's figures from bench/result.json
  --smoke          a fraction of a second each, to see that it works; nothing is judged
  --scale          what the number of flows costs, instead; has options of its own: --scale --help`

/** Share of the CPU that others may use while figures are taken that are kept. */
const MOST_FOREIGN = 0.08

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true, default: [] },
    setup: { type: 'string', multiple: true, default: [] },
    work: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    limit: { type: 'string', default: '120' },
    json: { type: 'string', default: fileURLToPath(new URL('../../build/bench/result.json', import.meta.url)) },
    keep: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const fail = (message: string): never => {
  console.error(`scripts/bench: ${message}`)
  process.exit(2)
}

const number = (name: 'rounds' | 'seconds' | 'limit'): number => {
  const value = Number(values[name])
  return value > 0 ? value : fail(`--${name} takes a number above 0; got: ${values[name]}`)
}

const known = (option: 'scenario' | 'setup' | 'work', names: readonly string[]): void => {
  for (const name of values[option])
    if (!names.includes(name)) fail(`--${option} takes one of: ${names.join(' ')}; got: ${name}`)
}

/** In a smoke run every kind starts where it is cheapest, and each scenario has a limit, ours and the kernel. */
const inSmoke = ({ name }: Scenario, setup: SetupName): boolean => {
  if (name === 'l2') return true
  if (name === 'vxlan4') return setup !== 'nic-software' && setup !== 'ovs-tso'
  if (name === 'vxlan6') return setup === 'splice-gso' || setup === 'kernel'
  return setup === 'splice-uso' || setup === 'offloaded' || setup === 'kernel'
}

const wants = (scenario: Scenario, setup: SetupName): boolean =>
  (values.setup.length === 0 || values.setup.includes(setup)) && (!values.smoke || inSmoke(scenario, setup))

const collect = async (plan: Plan): Promise<Result> => {
  const where = await machine()
  if (values.keep && where.foreign > MOST_FOREIGN)
    fail(`others use ${Math.round(where.foreign * 100)} % of the CPU; figures to keep need a quiet machine`)
  const scenarios: Result['scenarios'] = {}
  for (const scenario of SCENARIOS)
    if (values.scenario.length === 0 || values.scenario.includes(scenario.name))
      scenarios[scenario.name] = await runScenario(scenario, plan)
  return {
    machine: where,
    rounds: plan.rounds,
    seconds: plan.effort.seconds,
    scenarios,
    ratios: ratiosOf(scenarios),
  }
}

const print = (result: Result): void => {
  for (const { name, title } of SCENARIOS) {
    const stats = result.scenarios[name]
    if (stats) console.log(`\n${name}: ${title}\n\n${asText(figureRows(stats, true))}\n\n${asText(ratioRows(stats))}`)
  }
}

/** In a smoke run: everybody carried something. */
const silent = (result: Result): string[] =>
  Object.entries(result.scenarios).flatMap(([scenario, stats]) =>
    Object.entries(stats).flatMap(([setup, figures]) =>
      (['tcp1', 'udpPeak'] as const).flatMap((metric) =>
        (figures[metric]?.median ?? 0) > 0 ? [] : [`${scenario}, ${setup}: no ${METRICS[metric].title}`],
      ),
    ),
  )

const write = (path: string, result: Result): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`)
  console.log(`\nwritten to ${path}`)
}

const bench = async (): Promise<number> => {
  const plan: Plan = {
    effort: {
      seconds: values.smoke ? 1 : number('seconds'),
      pings: values.smoke ? 10 : 200,
      probes: values.smoke ? 0 : 5,
      smoke: values.smoke,
      work: new Set(WORK.filter((name) => values.work.length === 0 || values.work.includes(name))),
    },
    rounds: values.smoke ? 1 : number('rounds'),
    wants,
  }
  await compile()
  const result = await collect(plan)
  print(result)
  if (values.smoke) {
    const nothing = silent(result)
    for (const words of nothing) console.log(words)
    return nothing.length > 0 ? 1 : 0
  }
  write(values.json, result)
  if (values.keep) {
    write(RESULT, result)
    writeDocs()
  }
  // Part of the work gives part of the figures.
  const asked = (one: Judgement): boolean => one.value !== undefined || values.work.length === 0
  const short = judge(result).filter((one) => !one.reached && asked(one))
  console.log('')
  for (const judgement of short) console.log(shortLine(judgement))
  return short.length > 0 ? 1 : 0
}

if (values.help) console.log(HELP)
else if (values.docs) writeDocs()
else {
  known(
    'scenario',
    SCENARIOS.map(({ name }) => name),
  )
  known(
    'setup',
    KINDS.map(({ name }) => name),
  )
  known('work', WORK)
  let ending = false
  const end = (status: number, words: string): void => {
    ending = true
    console.error(`scripts/bench: ${words}`)
    void closeAll().finally(() => process.exit(status))
  }
  process.once('SIGINT', () => end(130, 'interrupted'))
  process.once('SIGTERM', () => end(143, 'ended'))
  const limit = number('limit')
  const timer = setTimeout(() => end(124, `not done within ${limit} minutes`), limit * 60_000)
  try {
    process.exitCode = await bench()
  } catch (error) {
    // Of work that was cut off: `end` ends the process when all is undone.
    if (ending) await new Promise(() => {})
    throw error
  } finally {
    clearTimeout(timer)
  }
}
