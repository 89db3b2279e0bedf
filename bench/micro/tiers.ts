/**
 * What one frame costs in a whole tier, ports without a kernel: read, look-up, action, written. Prints nanoseconds of processor time a frame. Run:
 * `node --import ./scripts/typescript.mjs bench/micro/tiers.ts [--smoke]`
 */
import { DatapathClient } from '../../src/datapath/client.ts'
import type { DatapathControl, DatapathEvent } from '../../src/datapath/control.ts'
import { Datapath } from '../../src/datapath/core.ts'
import { createDatapathShared, OWNER_FIRST_ESWITCH } from '../../src/datapath/shared.ts'
import { EswitchClient } from '../../src/eswitch/client.ts'
import type { EswitchControl, EswitchEvent } from '../../src/eswitch/control.ts'
import { EswitchCore } from '../../src/eswitch/core.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import {
  createArena,
  HEADROOM,
  M_BASE,
  M_LEN,
  M_OFF,
  M_PORT,
  M_VFLAGS,
  META_WORDS,
  type SlotPool,
} from '../../src/packet/slot.ts'
import type { Port } from '../../src/port/contract.ts'
import { flowMatch, output, putFlow } from '../../test/pipeline/tiers/flows.ts'
import { numbered } from '../../test/pipeline/tiers/frames.ts'
import { testProfile } from '../../test/pipeline/tiers/harness.ts'

const smoke = process.argv.includes('--smoke')
const ROUNDS = smoke ? 50 : 1000
const REPEATS = smoke ? 1 : 30
const FLOWS = 16
const BATCH = 64

const arena = createArena(OWNER_FIRST_ESWITCH + 1, 1024, 16)

/** Frames of `flows` microflows in turn, without end; counts what is written. */
class Endless implements Port {
  readonly name = 'endless'
  readonly fd = -1
  readonly dead = false
  readonly #frames = Array.from({ length: FLOWS }, (_, flow) => numbered(flow, 0))
  #next = 0
  flows = FLOWS
  sent = 0

  rx(pool: SlotPool, no: number, out: Int32Array, max: number): number {
    const { bytes, meta } = arena
    let n = 0
    for (; n < max; n++) {
      const frame = this.#frames[this.#next++ % this.flows]!
      const slot = pool.take(frame.length)
      if (slot < 0) break
      const m = slot * META_WORDS
      const off = meta[m + M_BASE]! + HEADROOM
      bytes.set(frame, off)
      meta[m + M_OFF] = off
      meta[m + M_LEN] = frame.length
      meta[m + M_PORT] = no
      meta.fill(0, m + M_VFLAGS, m + META_WORDS)
      out[n] = slot
    }
    return n
  }

  tx(_slots: Int32Array, _from: number, n: number): void {
    this.sent += n
  }
}

const report = (name: string, round: () => void, sent: Endless): void => {
  let best = Number.POSITIVE_INFINITY
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const before = sent.sent
    const start = process.cpuUsage()
    for (let i = 0; i < ROUNDS; i++) round()
    const { user, system } = process.cpuUsage(start)
    best = Math.min(best, ((user + system) * 1000) / (sent.sent - before))
  }
  console.log(`${name.padEnd(60)} ${best.toFixed(0).padStart(6)} ns`)
}

const portHost = {
  openPort: (_no: number, name: string, open: { type: string; port?: Port }): Port => {
    if (open.port === undefined) throw new Error(`port ${name}: an object expected`)
    return open.port
  },
  watch: () => {},
  unwatch: () => {},
  rewatch: () => {},
  pause: () => {},
  fruitless: () => {},
}

const clock = new ManualClock()
const inbox: DatapathControl[] = []
const events: DatapathEvent[] = []
const shared = createDatapathShared(arena, 4096)
const dpif = new DatapathClient(shared, { post: (m) => void inbox.push(m), wake: () => {}, later: () => {} })
const datapath = new Datapath(shared, { ...portHost, post: (e) => void events.push(e), signal: () => {} })
let core: EswitchCore | undefined
const eswitchInbox: EswitchControl[] = []
const eswitchEvents: EswitchEvent[] = []
let deliver: (event: EswitchEvent) => void = () => {}
const nic = new EswitchClient({
  name: 'nic0',
  switchId: '0a:00:00:00:00:01',
  profile: testProfile(64),
  datapath: dpif,
  clock,
  after: () => {},
  spawn: (memory, receive) => {
    deliver = receive
    core = new EswitchCore(memory, {
      ...portHost,
      post: (e) => void eswitchEvents.push(e),
      wakeDatapath: () => {},
      awaitSignal: () => {},
    })
    return { eventfd: -1, post: (m) => void eswitchInbox.push(m), wake: () => {}, terminate: async () => {} }
  },
})

const none = new Int32Array(0)
const settle = async (promise: Promise<unknown>): Promise<void> => {
  let done = false
  void promise.then(() => {
    done = true
  })
  for (let quiet = 0; quiet < 8; ) {
    for (const message of inbox.splice(0)) datapath.control(message)
    for (const message of eswitchInbox.splice(0)) core?.control(message)
    datapath.round(clock.now(), none, 0)
    core?.round(clock.now(), none, 0)
    for (const event of events.splice(0)) dpif.receive(event)
    for (const event of eswitchEvents.splice(0)) deliver(event)
    dpif.pump()
    nic.pump()
    await new Promise<void>((resolve) => setImmediate(resolve))
    if (done) quiet++
  }
}

const tap = new Endless()
const tap2 = new Endless()
const vf = new Endless()
const vf2 = new Endless()
await settle(dpif.portAdd({ no: 1, name: 'tap1', kind: 'memory' }, { type: 'object', port: tap }))
await settle(dpif.portAdd({ no: 2, name: 'tap2', kind: 'memory' }, { type: 'object', port: tap2 }))
for (let flow = 0; flow < FLOWS; flow++) putFlow(dpif, flowMatch(1, flow), output(2))
await settle(nic.start())
for (const [no, port] of [
  [3, vf],
  [4, vf2],
] as const) {
  await settle(dpif.portAdd({ no, name: `vf${no}`, kind: 'representor', eswitch: 'nic0' }))
  await settle(nic.portAdd(no, `vf${no}`, { type: 'object', port }))
}
for (let flow = 0; flow < FLOWS; flow++) nic.rulePut({ id: flow, match: flowMatch(3, flow), actions: output(4) })
await settle(Promise.resolve())

const one = Int32Array.of(1)
const three = Int32Array.of(3)
for (const flows of [1, FLOWS]) {
  tap.flows = vf.flows = flows
  const what = `${BATCH} frames a round, ${flows === 1 ? 'one flow' : `${flows} flows in turn`}`
  report(`tier 2, ${what}`, () => datapath.round(clock.now(), one, 1), tap2)
  report(`tier 3, ${what}`, () => core!.round(clock.now(), three, 1), vf2)
}
