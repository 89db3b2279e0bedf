/** Points of the curve: `point.ts full|smoke KIND:FLOWS:MASKS...` prints a JSON object of figures for each. main.ts starts it, with one point if memory counts, which is its own then. */
import type { FlowStats } from '../../src/datapath/contract.ts'
import { Arming } from '../../src/eswitch/arming.ts'
import { RuleTable } from '../../src/eswitch/rule-table.ts'
import { createEswitchMemory } from '../../src/eswitch/shared.ts'
import { parseFlow } from '../../src/flow/ofp-text.ts'
import { compileActions } from '../../src/flow/program.ts'
import { medianOf as median } from '../e2e/report/result.ts'
import { type Figures, type Kind, REFERENCE } from './figures.ts'
import { createRig, exactMask, keyOf, OUT, type Rig } from './rig.ts'
import { choices, costOfMaking, ORDERS } from './traffic.ts'

const smoke = process.argv[2] === 'smoke'

const collect = (globalThis as { gc?: () => void }).gc
if (collect === undefined) throw new Error('node --expose-gc expected')
const MEBI = 2 ** 20

interface Work {
  readonly flows: number
  readonly masks: number
}

const resident = (): number => {
  collect()
  return process.memoryUsage.rss()
}

/** Nanoseconds a frame in the tier, without what it costs to make the frames; in turns with a switch of few flows, so that both have the same from the machine. */
const costs = (rig: Rig, reference: Rig, flows: number): Figures => {
  const rounds = smoke ? 20 : 2000
  const length = smoke ? 1 << 12 : undefined
  const figures: Figures = {}
  for (const order of ORDERS) {
    rig.traffic.order = choices(order, flows, length)
    reference.traffic.order = choices(order, REFERENCE, length)
    const made: number[] = []
    const many: number[] = []
    const few: number[] = []
    for (let turn = -1; turn < (smoke ? 1 : 15); turn++) {
      const making = costOfMaking(rig.traffic, rig.world.dpif.pool, rounds * 16)
      const [ours, theirs] = [rig.run(rounds), reference.run(rounds)]
      // The first turn compiles.
      if (turn < 0) continue
      made.push(making)
      many.push(ours)
      few.push(theirs)
    }
    const making = median(made)
    figures[order] = median(many) - making
    figures[`${order}Ratio`] = (median(many) - making) / (median(few) - making)
  }
  return figures
}

/** Everything that the main thread does about flows. */
const upkeep = async (rig: Rig, flows: number): Promise<Figures> => {
  const { udpif, offload, ofproto } = rig
  const out: FlowStats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
  const ids = [...offload.flows()].map(({ id }) => id)
  const started = performance.now()
  for (const id of ids) if (!offload.flowStats(id, out)) throw new Error(`flow ${id} has no statistics`)
  const stats = performance.now() - started
  udpif.start()
  await udpif.settled()
  const idle = udpif.status().dumpDuration
  ofproto.bridge('br0')!.tables.add(parseFlow('table=0,priority=1,arp,actions=drop'))
  await udpif.settled()
  const { dumpDuration, revalidation } = udpif.status()
  udpif.stop()
  return { statistics: (stats * 1000) / flows, pass: idle, change: dumpDuration, slice: revalidation.longestSlice }
}

const switched = async ({ flows }: Work): Promise<Figures> => {
  const rig = await createRig(flows, true, 1, true)
  const before = resident()
  const put = await rig.put(0, flows)
  const figures: Figures = {
    translated: flows / ((put.main + put.workers) / 1000),
    memoryTranslated: (resident() - before) / flows,
    ...(await upkeep(rig, flows)),
  }
  return figures
}

const whole = async ({ flows, masks }: Work, offloaded: boolean): Promise<Figures> => {
  const rig = await createRig(flows, offloaded, masks)
  const reference = await createRig(REFERENCE, offloaded, Math.min(masks, 10))
  await reference.put(0, REFERENCE)
  const before = resident()
  const put = await rig.put(0, flows)
  const memory = (resident() - before) / flows
  const carried = offloaded ? rig.world.eswitch('nic0').ruleCount : rig.world.dpif.flowCount
  if (carried !== flows) throw new Error(`${carried} flows, ${flows} expected`)
  const figures: Figures = {
    put: flows / ((put.main + put.workers) / 1000),
    putMain: flows / (put.main / 1000),
    memory,
    ...costs(rig, reference, flows),
  }
  const started = performance.now()
  await rig.purge()
  figures.del = flows / ((performance.now() - started) / 1000)
  return figures
}

/** The rules of an eswitch's worker alone. */
const table = ({ flows }: Work): Figures => {
  const program = compileActions([{ type: 'output', port: OUT }])
  const before = resident()
  const memory = createEswitchMemory(flows * 2)
  const rules = new RuleTable(memory.ruleFlags, memory.ruleStats, new Arming(flows * 2, () => true))
  const empty = resident() - before
  const mask = exactMask()
  const started = performance.now()
  let slowest = 0
  for (let flow = 0; flow < flows; flow++) {
    const key = keyOf(flow, 1)
    const began = performance.now()
    // As it comes out of the ring.
    rules.put(flow, mask, key, rules.sharedPrograms.share(program))
    slowest = Math.max(slowest, performance.now() - began)
  }
  const put = performance.now() - started
  const full = resident() - before - empty
  if (rules.outer.lookup(keyOf(flows - 1, 1)) !== flows - 1) throw new Error('the last rule is not found')
  return { tableEmpty: empty / MEBI, table: full / flows, tablePut: flows / (put / 1000), slowest }
}

const run: Record<Kind, (work: Work) => Promise<Figures>> = {
  nic: (work) => whole(work, true),
  switch: switched,
  datapath: (work) => whole(work, false),
  table: async (work) => table(work),
}
// What is awaited keeps no process alive.
setInterval(() => {}, 1000)
for (const spec of process.argv.slice(3)) {
  const [kind, flows, masks] = spec.split(':')
  process.stdout.write(`${JSON.stringify(await run[kind as Kind]({ flows: Number(flows), masks: Number(masks) }))}\n`)
}
process.exit(0)
