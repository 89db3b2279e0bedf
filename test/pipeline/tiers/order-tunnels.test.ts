/**
 * The same with tunnels: packets are put into one and taken out of another while entries become pending, ready, ambiguous, too narrow and move to another uplink, flows and rules of both
 * passes come and go, upcalls are answered late and a worker is lost. Per egress port, frames of a microflow leave in the order they came, every loss is counted, every slot is back.
 *
 * In half of the runs (`spread`) a flow's packets come by several outer ones, as from a tunnel that varies the source port by packet. Their order is kept wherever it is known what is inside: then
 * the outer flow stays in the datapath, and nothing marks congestion.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { LOST_NEIGHBOUR_FAILED } from '../../../src/flow/execute.ts'
import { K_IN_PORT, K_TP, type Match } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { flowMatch, keyOf, output, portMatch, putFlow } from './flows.ts'
import { numbered, numberOf } from './frames.ts'
import { World } from './harness.ts'
import { entry, innerMatch, outerMatch, pop, push, VXLAN, wrapped } from './tunnels.ts'

/** Guests 1 (a VF) and 4, uplinks 2 and 3, the underlay's internal port 8. Packets come out of the tunnel by 3 and go to 1. */
const GUESTS = [1, 4]
const LOCAL = 8
const FLOWS = 3
const ENTRIES = [5, 6]
const entryOfFlow = (flow: number): number => ENTRIES[flow % ENTRIES.length]!

/** All else would say that a frame was damaged or sent astray. */
const LOSSES = [
  'upcall-limit',
  'upcall-park-full',
  'ring-full',
  'rx-no-slot',
  'copy-no-slot',
  'worker-gone',
  'neighbour-failed',
  'neighbour-queue-full',
  'neighbour-timeout',
  'tunnel-mtu',
]

const be16 = (v: number): number[] => [v >> 8, v & 255]
/** A frame that `narrow` entries cannot take; `numberOf` finds its number all the same. */
const large = (flow: number, n: number): Uint8Array =>
  numbered(flow, n, {
    payload: [
      ...Array<number>(60).fill(0),
      ...be16(1000 + flow),
      ...Array<number>(6).fill(0),
      ...be16(n >>> 16),
      ...be16(n & 0xffff),
    ],
  })

const SPEAKS_ECN = { ip: { src: '10.0.0.1', dst: '10.0.0.2', tos: 2 } }

type Change = 'pending' | 'ready' | 'other-uplink' | 'ambiguous' | 'narrow' | 'failed'
const changed = (id: number, change: Change): EncapEntry => {
  const pending = { state: 'pending', reason: 'neighbour-pending', actions: [], nextHop: 10 + id } as const
  switch (change) {
    case 'pending':
      return entry(id, 2, pending)
    case 'failed':
      return entry(id, 2, { ...pending, state: 'drop', reason: 'neighbour-failed', lost: LOST_NEIGHBOUR_FAILED })
    case 'ambiguous':
      return entry(id, 2, { reason: 'underlay-ambiguous', actions: [{ type: 'reenter', port: LOCAL }] })
    case 'narrow':
      return entry(id, 2, { mtu: 100 })
    case 'other-uplink':
      return entry(id, 3)
    case 'ready':
      return entry(id, 2)
  }
}

const pass = fc.constantFrom('guest' as const, 'outer' as const, 'inner' as const, 'local' as const)
const event = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant('send' as const),
      port: fc.constantFrom(1, 1, 4, 3, 3),
      flow: fc.nat(FLOWS - 1),
      n: fc.integer({ min: 1, max: 30 }),
      large: fc.constantFrom(0, 0, 0, 7),
    }),
  },
  { weight: 14, arbitrary: fc.record({ type: fc.constant('steps' as const), n: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('answer' as const), install: fc.boolean(), pick: fc.nat(20) }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('put' as const), pass, flow: fc.nat(FLOWS - 1) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('del' as const), pass, flow: fc.nat(FLOWS - 1) }) },
  { weight: 9, arbitrary: fc.record({ type: fc.constant('offload' as const), pass, flow: fc.nat(FLOWS - 1) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('unload' as const), pass, flow: fc.nat(FLOWS - 1) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('entry' as const),
      id: fc.constantFrom(...ENTRIES),
      change: fc.constantFrom<Change>(
        'pending',
        'pending',
        'ready',
        'ready',
        'other-uplink',
        'ambiguous',
        'narrow',
        'failed',
      ),
      eswitchFirst: fc.boolean(),
      /** Tier 2 hears of it later. */
      slow: fc.constantFrom(true, false, false),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('time' as const), ms: fc.constantFrom(1, 300, 1000) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('pause' as const), on: fc.constantFrom(true, false, false) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('kill' as const) }) },
)

it('keeps order through tunnels, loses nothing uncounted, leaks nothing', async () => {
  let offloaded = 0
  let waited = 0
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.boolean(),
      fc.array(event, { minLength: 30, maxLength: 140, size: 'max' }),
      async (ready, spread, events) => {
        const world = new World({ eswitches: { nic0: 16 }, small: 1024 })
        await world.start()
        for (const no of [1, 2, 3]) await world.addVf(no, `port${no}`, 'nic0')
        for (const no of [4, LOCAL]) await world.addPort(no, `port${no}`)
        await world.dpif.portAdd({ no: VXLAN, name: 'vxlan_4789', kind: 'vxlan' })
        const nic = world.eswitch('nic0')
        /** Lent as upcalls, and because they are too big. */
        const lent: { slot: number; big: boolean }[] = []
        world.dpif.onUpcall((slot) => lent.push({ slot, big: false }))
        world.dpif.onTooBig((slot) => lent.push({ slot, big: true }))
        const flows = new Map<string, number>()
        const next = new Map<string, number>()
        const entries = new Map<number, EncapEntry>()
        let sent = 0
        let dealtWith = 0
        let killed = false

        const flowOf = (port: number, flow: number): { name: string; match: Match; actions: readonly OdpAction[] } => {
          if (port === 3) return { name: 'outer', match: outerMatch(3), actions: pop }
          if (port === VXLAN) return { name: `inner/${flow}`, match: innerMatch(VXLAN, flow), actions: output(1) }
          if (port === LOCAL) return { name: 'local', match: portMatch(LOCAL), actions: output(2) }
          return { name: `${port}/${flow}`, match: flowMatch(port, flow), actions: push(entryOfFlow(flow)) }
        }
        const portOf = { guest: 1, outer: 3, inner: VXLAN, local: LOCAL }
        const put = (port: number, flow: number): void => {
          const { name, match, actions } = flowOf(port, flow)
          flows.set(name, putFlow(world.dpif, match, actions, flows.get(name)))
        }
        const answer = (install: boolean, pick = 0): void => {
          const one = lent.splice(pick % Math.max(1, lent.length), 1)[0]
          if (one === undefined) return
          if (one.big) {
            dealtWith++
            world.dpif.upcallDone(one.slot, [])
            return
          }
          const key = keyOf(world.dpif, one.slot)
          const port = key[K_IN_PORT]!
          const flow = (key[K_TP]! >>> 16) - 1000
          if (install) put(port, flow)
          world.dpif.upcallDone(one.slot, flowOf(port, flow).actions)
        }
        const ruleId = (pass: keyof typeof portOf, flow: number): number =>
          40 + (pass === 'guest' ? 0 : pass === 'outer' ? 100 : 200 + flow) + (pass === 'guest' ? flow : 0)
        const offload = (pass: keyof typeof portOf, flow: number): void => {
          if (pass === 'local') return
          const { actions } = flowOf(portOf[pass], flow)
          const match = pass === 'inner' ? innerMatch(3, flow) : flowOf(portOf[pass], flow).match
          const known = entries.get(entryOfFlow(flow))!
          if (pass === 'guest' && known.reason === 'valid') nic.encapPut(known)
          nic.rulePut({ id: ruleId(pass, flow), match, actions })
        }
        const change = (id: number, change: Change, eswitchFirst: boolean): void => {
          const it = changed(id, change)
          entries.set(id, it)
          // What cannot be offloaded is not known there.
          const there = (): void => {
            if (it.state === 'ready' && it.reason === 'valid') nic.encapPut(it)
            else nic.encapDel(id)
          }
          if (eswitchFirst) there()
          world.dpif.encapPut(it)
          if (!eswitchFirst) there()
        }

        for (const id of ENTRIES) change(id, 'ready', false)
        for (const port of [...GUESTS, 3, LOCAL, VXLAN]) for (let flow = 0; flow < FLOWS; flow++) put(port, flow)
        // From then on the datapath has the outer flow.
        if (ready || spread) await world.settle()
        if (ready) {
          for (const pass of ['guest', 'outer', 'inner'] as const)
            for (let flow = 0; flow < FLOWS; flow++) offload(pass, flow)
          await world.settle()
        }
        for (const e of events) {
          if (e.type === 'send')
            for (let i = 0; i < e.n; i++, sent++) {
              const name = `${e.port}/${e.flow}`
              const n = next.get(name) ?? 0
              next.set(name, n + 1)
              const number = e.port * 1_000_000 + n
              if (e.port === 3 && spread)
                world.port(3).inject(wrapped(e.flow, number, { sourcePort: 40000 + 8 * e.flow + (n % 3) }))
              else if (e.port === 3)
                // With congestion marked outside, the packet inside must be written: nothing for an eswitch.
                world.port(3).inject(wrapped(e.flow, number, i === e.large ? { tos: 3, inner: SPEAKS_ECN } : {}))
              else world.port(e.port).inject(i === e.large ? large(e.flow, number) : numbered(e.flow, number))
            }
          else if (e.type === 'steps')
            for (let i = 0; i < e.n; i++) {
              world.step()
              await Promise.resolve()
              if (nic.state === 'restarting') world.clock.advance(50)
              waited = Math.max(waited, world.dpif.shared.counters[10]!)
            }
          else if (e.type === 'answer') answer(e.install, e.pick)
          else if (e.type === 'put') put(portOf[e.pass], e.flow)
          else if (e.type === 'del') {
            // Of frames that go on to a second pass and miss there, and of such that miss already, those lent first go first.
            if (e.pass === 'local' || (e.pass === 'outer' && spread)) continue
            const { name } = flowOf(portOf[e.pass], e.flow)
            const id = flows.get(name)
            if (id === undefined) continue
            flows.delete(name)
            nic.ruleDel(ruleId(e.pass, e.flow))
            world.dpif.flowDel(id)
          } else if (e.type === 'offload') {
            // Only flows that the datapath has are offered.
            if (flows.has(flowOf(portOf[e.pass], e.flow).name)) offload(e.pass, e.flow)
          } else if (e.type === 'unload') nic.ruleDel(ruleId(e.pass, e.flow))
          else if (e.type === 'entry') {
            if (e.slow) world.pauseDatapath(true)
            change(e.id, e.change, e.eswitchFirst)
          } else if (e.type === 'time') world.clock.advance(e.ms)
          else if (e.type === 'pause') world.pauseDatapath(e.on)
          else if (e.type === 'kill' && nic.state === 'running') {
            world.kill('nic0')
            killed = true
          }
        }
        world.pauseDatapath(false)
        for (const id of ENTRIES) change(id, 'ready', false)
        for (let rounds = 0; rounds < 1000; rounds++) {
          await world.settle()
          world.clock.advance(20_000)
          if (lent.length === 0 && nic.state === 'running') break
          while (lent.length > 0) answer(rounds % 2 === 0)
        }
        await world.settle()

        let arrived = 0
        for (const egress of [1, 2, 3]) {
          const last = new Map<string, number>()
          for (const { data } of world.port(egress).sent) {
            const { flow, n } = numberOf(data)
            const name = `${egress} ${Math.floor(n / 1_000_000)}/${flow}`
            expect(n, name).toBeGreaterThan(last.get(name) ?? -1)
            last.set(name, n)
            arrived++
          }
        }
        let drops = 0
        for (const no of [1, 2, 3, 4, LOCAL, VXLAN])
          for (const [reason, n] of Object.entries(world.drops(no))) {
            expect(LOSSES, `port ${no}`).toContain(reason)
            drops += n
          }
        const missing = sent - arrived - drops - dealtWith
        // What a lost worker held in its own hands is lost with it, uncounted; nothing else is.
        if (killed) expect(missing).toBeGreaterThanOrEqual(0)
        else expect(missing).toBe(0)
        expect([world.missingSlots(), world.core('nic0').held]).toEqual([{}, 0])
        offloaded += nic.memory.counters[1]!
      },
    ),
    { numRuns: 150 },
  )
  expect(offloaded).toBeGreaterThan(1000)
  expect(waited).toBeGreaterThan(20)
}, 120_000)
