/** One point of the curve, in a process of its own so that its memory is its own: `point.ts KIND FLOWS MASKS SMOKE` prints a JSON object of figures. main.ts starts it. */
import type { FlowStats } from '../../src/datapath/contract.ts'
import { Arming } from '../../src/eswitch/arming.ts'
import { RuleTable } from '../../src/eswitch/rule-table.ts'
import { parseFlow } from '../../src/flow/ofp-text.ts'
import { compileActions } from '../../src/flow/program.ts'
import type { Figures, Kind } from './figures.ts'
import { createRig, exactMask, keyOf, OUT, type Rig } from './rig.ts'
import { choices, costOfMaking, ORDERS } from './traffic.ts'

const [, , kind, flowsText, masksText, effort] = process.argv
const flows = Number(flowsText)
const masks = Number(masksText)
const smoke = effort === 'smoke'

const collect = (globalThis as { gc?: () => void }).gc
if (collect === undefined) throw new Error('node --expose-gc expected')
const MEBI = 2 ** 20

const held = (): number => {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const resident = (): number => {
  collect()
  return process.memoryUsage.rss()
}

const medianOf = (run: () => number, times: number): number => {
  const all = Array.from({ length: times }, run).sort((x, y) => x - y)
  return all[all.length >> 1]!
}

/** Nanoseconds a frame in the tier, without what it costs to make the frames. */
const costs = (rig: Rig): Figures => {
  const rounds = smoke ? 20 : 4000
  const figures: Figures = {}
  for (const order of ORDERS) {
    rig.traffic.order = choices(order, flows)
    rig.traffic.flowing = true
    const making = medianOf(() => costOfMaking(rig.traffic, rig.world.dpif.pool, rounds * 64), 5)
    rig.traffic.flowing = false
    const once = (): number => rig.run(rounds)
    once()
    figures[order] = medianOf(once, smoke ? 1 : 7) - making
  }
  return figures
}

/** Everything that the main thread does about flows. */
const upkeep = async (rig: Rig): Promise<Figures> => {
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

const switched = async (): Promise<Figures> => {
  const rig = await createRig(flows, true, 1, true)
  const before = resident()
  const put = await rig.put(0, flows)
  const figures: Figures = {
    translated: flows / ((put.main + put.workers) / 1000),
    memoryTranslated: (resident() - before) / flows,
    ...(await upkeep(rig)),
  }
  return figures
}

const whole = async (offloaded: boolean): Promise<Figures> => {
  const rig = await createRig(flows, offloaded, masks)
  const before = resident()
  const put = await rig.put(0, flows)
  const memory = (resident() - before) / flows
  const carried = offloaded ? rig.world.eswitch('nic0').ruleCount : rig.world.dpif.flowCount
  if (carried !== flows) throw new Error(`${carried} flows, ${flows} expected`)
  const figures: Figures = {
    put: flows / ((put.main + put.workers) / 1000),
    putMain: flows / (put.main / 1000),
    memory,
    ...costs(rig),
  }
  const started = performance.now()
  await rig.purge()
  figures.del = flows / ((performance.now() - started) / 1000)
  return figures
}

/** The rules of an eswitch's worker alone. */
const table = (): Figures => {
  const program = compileActions([{ type: 'output', port: OUT }])
  const before = held()
  const rules = new RuleTable(new Int32Array(new SharedArrayBuffer(flows * 2 * 4)), new Arming(flows * 2, () => true))
  const empty = held() - before
  const mask = exactMask()
  const started = performance.now()
  // A program of its own for each: as it comes out of the ring.
  for (let flow = 0; flow < flows; flow++) rules.put(flow, mask, keyOf(flow, 1), program.slice())
  const put = performance.now() - started
  const full = held() - before - empty
  if (rules.find(keyOf(flows - 1, 1)) !== flows - 1) throw new Error('the last rule is not found')
  return { tableEmpty: empty / MEBI, table: full / flows, tablePut: flows / (put / 1000) }
}

const run: Record<Kind, () => Promise<Figures>> = {
  nic: () => whole(true),
  switch: switched,
  datapath: () => whole(false),
  table: async () => table(),
}
// What is awaited keeps no process alive.
setInterval(() => {}, 1000)
process.stdout.write(`${JSON.stringify(await run[kind as Kind]())}\n`)
process.exit(0)
