/** Where the switch's threads spend their time under load; scripts/profile is the command. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { run } from '../../test/system/kit/process.ts'
import { Testbed } from '../../test/system/kit/testbed.ts'
import { carry, LOADS, type Load } from '../e2e/measure.ts'
import { compile } from '../e2e/programs.ts'
import { SCENARIOS, type Scenario } from '../e2e/scenario.ts'
import { startSetup } from '../e2e/setups/index.ts'
import { TAPSWITCH } from '../e2e/setups/tapswitch.ts'
import { Site } from '../e2e/site.ts'
import { perf } from './perf.ts'
import { asTables } from './table.ts'
import { type CpuProfile, readProfile } from './v8.ts'

const WAYS = TAPSWITCH.map(({ name }) => name)
const HELP = `Usage: sudo scripts/profile SCENARIO-WORK [OPTION]...

Starts the switch between two guests, gives it work, and shows where its threads' time goes: by V8's profile of each, and by perf if there is one.

  SCENARIO: ${SCENARIOS.map(({ name }) => name).join(' ')}
  WORK:     ${LOADS.join(' ')}

  --way NAME    offloaded (the NIC's thread alone), software (the datapath's TAPs), nic-software (offload off)
  --seconds N   of work (4), at most 60
  --smoke       a fraction of a second, to see that it works`

/** Microseconds between samples: what a profile costs is then some per cent. */
const INTERVAL = 250

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    way: { type: 'string', default: 'offloaded' },
    seconds: { type: 'string', default: '4' },
    smoke: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const fail = (message: string): never => {
  console.error(`scripts/profile: ${message}; see --help`)
  process.exit(2)
}

const parse = (what: string | undefined): { scenario: Scenario; work: Load } => {
  for (const scenario of SCENARIOS)
    for (const work of LOADS) if (what === `${scenario.name}-${work}`) return { scenario, work }
  return fail(`SCENARIO-WORK expected, such as l2-udp; got: ${what ?? 'nothing'}`)
}

const profile = async (scenario: Scenario, work: Load, seconds: number): Promise<void> => {
  const kind = TAPSWITCH.find(({ name }) => name === values.way) ?? fail(`--way takes one of: ${WAYS.join(' ')}`)
  const bed = new Testbed()
  const close = (status: number) => () => void bed.close().finally(() => process.exit(status))
  process.once('SIGINT', close(130))
  process.once('SIGTERM', close(143))
  const folder = bed.path('profiles')
  mkdirSync(folder)
  const tables: string[] = []
  // The switch writes its profiles as it ends, which is before this and after what comes below.
  bed.defer(() => {
    for (const name of readdirSync(folder)
      .filter((name) => name.endsWith('.cpuprofile'))
      .sort()) {
      const pid = name.split('.')[3]
      const one = readProfile(JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as CpuProfile)
      tables.push(asTables(`${one.thread}, process ${pid}`, one))
    }
  })
  try {
    const guests = await bed.guests('a', 'b')
    for (const guest of Object.values(guests)) await guest.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
    const node = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL}`]
    const setup = await startSetup(kind, new Site(bed, scenario, guests, 1, node))
    const pids = setup.parts.flatMap((part) => part.pids)
    const [rate, seen] = await Promise.all([carry(setup, work, seconds), perf(pids, seconds, bed.path('perf.data'))])
    console.log(`${scenario.name}, ${kind.name}, ${work}: ${rate}\n\n${seen}`)
  } finally {
    await bed.close()
  }
  if (tables.length === 0) throw new Error('the switch has left no profile')
  for (const table of tables) console.log(`\n${table}`)
}

if (values.help) console.log(HELP)
else {
  const { scenario, work } = parse(positionals[0])
  const seconds = values.smoke ? 0.3 : Number(values.seconds)
  if (!(seconds > 0 && seconds <= 60)) fail(`--seconds takes a number above 0, at most 60; got: ${values.seconds}`)
  await compile()
  await profile(scenario, work, seconds)
  const left = (await run(['ip', 'netns', 'list'])).stdout.includes(`ts${process.pid}x`)
  process.exitCode = left ? 1 : 0
}
