/** Runs scenarios: all set-ups of one stand at once and take turns, round by round. */
import { setTimeout as delay } from 'node:timers/promises'
import { Testbed } from '../../test/system/kit/testbed.ts'
import { type Effort, idle, measure } from './measure.ts'
import { type Figures, METRIC_NAMES, METRICS } from './metrics.ts'
import { type ScenarioStats, statsOf } from './report/result.ts'
import type { Scenario, Side } from './scenario.ts'
import { kindsOf, type Setup, startSetup } from './setups/index.ts'
import { type Kind, type SetupName, Unsupported } from './setups/setup.ts'
import { Site } from './site.ts'

export interface Plan {
  readonly effort: Effort
  readonly rounds: number
  readonly wants: (scenario: Scenario, setup: SetupName) => boolean
}

/** Beds that are to be undone when the run is interrupted. */
const open = new Set<Testbed>()
export const closeAll = async (): Promise<void> => {
  for (const bed of open) await bed.close()
}

/**
 * After the start the last flows are idle for their 10 seconds, guests tell each other who they are, and V8 collects what the start has left: 80 ms of CPU, 24 seconds after the
 * start of a switch that starts alone and later where many do, so that 30 seconds were too few now and then. Then nothing happens.
 */
const QUIET_SECONDS = 60
const IDLE_SECONDS = 10

const line = (figures: Figures): string =>
  METRIC_NAMES.flatMap((metric) => {
    const value = figures[metric]
    return value === undefined ? [] : [`${METRICS[metric].title} ${value.toFixed(METRICS[metric].digits)}`]
  }).join(', ')

const guests = async (bed: Testbed): Promise<Record<Side, Awaited<ReturnType<Testbed['guest']>>>> => {
  const both = await bed.guests('a', 'b')
  for (const guest of Object.values(both)) await guest.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
  return both
}

const startKind = async (kind: Kind, site: Site): Promise<Setup | undefined> => {
  try {
    return await startSetup(kind, site)
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error
    console.log(`${site.scenario.name}, ${kind.name}: left out: ${error.message}`)
    return undefined
  }
}

/** All at once; when one fails it waits for the others, so that nothing is made any more when the bed is undone. */
const start = async (bed: Testbed, scenario: Scenario, plan: Plan): Promise<Setup[]> => {
  const both = await guests(bed)
  const started = await Promise.allSettled(
    kindsOf(scenario).flatMap((kind, index) =>
      plan.wants(scenario, kind.name) ? [startKind(kind, new Site(bed, scenario, both, index + 1))] : [],
    ),
  )
  return started.flatMap((one) => {
    if (one.status === 'rejected') throw one.reason
    return one.value ?? []
  })
}

/** Told together, switches end together; the bed waits for each. */
const tellToEnd = (setups: readonly Setup[]): void => {
  for (const pid of setups.flatMap(({ parts }) => parts.flatMap(({ pids }) => pids)))
    try {
      process.kill(pid, 'SIGTERM')
    } catch {
      // It has ended by itself, which has been told already.
    }
}

export const runScenario = async (scenario: Scenario, plan: Plan): Promise<ScenarioStats> => {
  const bed = new Testbed()
  open.add(bed)
  let setups: readonly Setup[] = []
  try {
    setups = await start(bed, scenario, plan)
    console.log(`${scenario.name}: ${setups.length} set-ups stand`)
    const figures = new Map<Setup, Figures[]>(setups.map((setup) => [setup, []]))
    if (!plan.effort.smoke) {
      await delay(QUIET_SECONDS * 1000)
      for (const [setup, found] of await idle(setups, IDLE_SECONDS)) figures.get(setup)!.push(found)
    }
    for (let round = 1; round <= plan.rounds; round++)
      for (const setup of setups) {
        const found = await measure(setup, plan.effort)
        figures.get(setup)!.push(found)
        console.log(`${scenario.name}, round ${round}, ${setup.name}: ${line(found)}`)
      }
    return Object.fromEntries(setups.map((setup) => [setup.name, statsOf(figures.get(setup)!)]))
  } finally {
    open.delete(bed)
    tellToEnd(setups)
    await bed.close()
  }
}
