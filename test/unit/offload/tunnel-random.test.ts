/** Random sequences of all that can happen to tunnelled flows; in the end every verdict is what a fresh look would say, and the eswitches hold what it takes. */
import fc from 'fast-check'
import { test } from 'vitest'
import type { EncapReason } from '../../../src/flow/encap.ts'
import { K_IN_PORT } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { createStats } from '../../../src/offload/rule-account.ts'
import { type FakeEswitch, hit, matchOf, output } from './fakes.ts'
import { createTunnelRig, entryOf, innerMatch, outerMatch, P0, P1, P2, POP, push } from './tunnel-rig.ts'

const PEERS = ['10.0.0.2', '10.0.0.3', '10.0.1.2']
const REASONS: readonly EncapReason[] = [
  'valid',
  'valid',
  'valid',
  'no-route',
  'neighbour-pending',
  'neighbour-failed',
  'underlay-ambiguous',
]
const WAYS = [[P0], [P1], [P2], [P0, P1], [P0, P2], 'no-route', 'neighbour-pending'] as const
const ENCAPS: readonly (readonly OdpAction[])[] = [
  [push(0)],
  [push(1)],
  [push(2), output(2)],
  [{ type: 'clone', actions: [push(0)] }, push(1)],
  [output(2)],
]

const peer = fc.nat(PEERS.length - 1)
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('encap' as const), flow: fc.nat(5), actions: fc.nat(ENCAPS.length - 1) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('decap' as const),
      flow: fc.integer({ min: 6, max: 11 }),
      peer,
      out: fc.constantFrom(1, 4),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('outer' as const),
      port: fc.constantFrom(P0, P1, P2),
      peer: fc.option(peer, { nil: undefined }),
      pops: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('del' as const), flow: fc.nat(30) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('entry' as const),
      id: fc.nat(2),
      reason: fc.constantFrom(...REASONS),
      out: fc.constantFrom(P0, P1, P2),
      mtu: fc.constantFrom(0, 0, 1550, 1400),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('move' as const), peer, way: fc.constantFrom(...WAYS) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('mtu' as const),
      port: fc.constantFrom(1, P0, P1),
      mtu: fc.constantFrom(1400, 1500, 1550, 1600),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('port' as const), on: fc.constantFrom('nic0', 'nic1') }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('traffic' as const),
      flow: fc.nat(11),
      packets: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.constantFrom({ do: 'rest' as const }, { do: 'step' as const }, { do: 'flush' as const }),
  },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'die' as const }, { do: 'back' as const }) },
)

/** A port leaves its eswitch, an entry moves to it, and it is back before a flow that names the entry was decided again. */
const BACK_AT_ONCE: (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[] = [
  { do: 'encap', flow: 0, actions: 1 },
  { do: 'port', on: 'nic1' },
  { do: 'entry', id: 1, reason: 'valid', out: P1, mtu: 0 },
  { do: 'port', on: 'nic0' },
]

test('verdicts follow entries, peers, outer flows, ports and MTUs to where a fresh look would put them', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60, size: 'max' }),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      async (steps, late, tier1Answers, outersFirst) => {
        const rig = createTunnelRig({ offload: { slice: 3 } })
        const { module, nic0, nic1, dpif, mtus, view, rest, rulesOf } = rig
        if (late) for (const side of [nic0, nic1, dpif]) side.late = []
        const ids = new Map<number, number>()
        const sent = new Map<number, number>()
        const outers = new Map<string, number>()
        mtus.set(1, 1500).set(P0, 1600).set(P1, 1600).set(P2, 1600)
        for (const [id, text] of PEERS.entries()) {
          rig.entry(id, text)
          view.ways.set(text, [P0])
        }
        const outer = (port: number, from: string | undefined, actions: readonly OdpAction[]): void => {
          const name = `${port} ${from}`
          outers.set(name, rig.put(outerMatch(port, from), actions, outers.get(name)))
        }
        if (tier1Answers)
          rig.tier1.preinstall = (key) => {
            outer(key[K_IN_PORT]!, undefined, [POP])
            return true
          }
        for (const port of outersFirst ? [P0, P1, P2] : []) outer(port, undefined, [POP])
        const all = (): number[] => [...ids.values(), ...outers.values()]
        const check = (): void => {
          let rules = 0
          for (const id of all()) {
            const verdict = module.verdict(id)
            if (!verdict) throw new Error(`flow ${id} has no verdict`)
            const held = rulesOf(id)
            rules += held.length
            const told = verdict.state === 'offloaded' ? (verdict.rules ?? [verdict.rule]) : []
            if (held.map(({ rule }) => rule.id).join() !== told.join())
              throw new Error(`flow ${id}: told ${told}, held ${held.map(({ rule }) => rule.id)}`)
            if (verdict.state === 'refused' && verdict.retryOn.length === 0)
              throw new Error(`flow ${id} waits for nothing`)
          }
          if (nic0.rules.size + nic1.rules.size !== rules) throw new Error('rules without a flow')
        }
        const statistics = (): void => {
          for (const [flow, id] of ids) {
            const stats = createStats()
            module.flowStats(id, stats)
            if (stats.packets !== sent.get(flow)) throw new Error(`flow ${id}: ${stats.packets} of ${sent.get(flow)}`)
          }
        }
        let cause = 0
        for (const s of steps) {
          switch (s.do) {
            case 'encap':
            case 'decap': {
              const known = ids.get(s.flow)
              const match =
                known !== undefined
                  ? module.flow(known)!.match
                  : s.do === 'encap'
                    ? matchOf(1, s.flow)
                    : innerMatch(PEERS[s.peer]!, s.flow)
              ids.set(s.flow, rig.put(match, s.do === 'encap' ? ENCAPS[s.actions]! : [output(s.out)], known))
              if (known === undefined) sent.set(s.flow, 0)
              break
            }
            case 'outer':
              outer(s.port, s.peer === undefined ? undefined : PEERS[s.peer], s.pops ? [POP] : [output(1)])
              break
            case 'del': {
              if (s.flow > 11) {
                const [name] = [...outers.keys()].slice(s.flow - 12)
                if (name === undefined) break
                module.flowDel(outers.get(name)!)
                outers.delete(name)
                break
              }
              const id = ids.get(s.flow)
              if (id === undefined) break
              const expected = sent.get(s.flow)
              ids.delete(s.flow)
              module.flowDel(id, ({ packets }) => {
                if (packets !== expected) throw new Error(`final ${packets} of ${expected}`)
              })
              break
            }
            case 'entry': {
              const over = {
                reason: s.reason,
                mtu: s.mtu,
                ...(s.reason === 'valid' ? { actions: [output(s.out)] } : {}),
              }
              view.event(`e${cause++}`, () => module.encapPut(entryOf(s.id, PEERS[s.id]!, over)))
              break
            }
            case 'move':
              view.event(`m${cause++}`, () => view.move(PEERS[s.peer]!, s.way))
              break
            case 'mtu':
              mtus.set(s.port, s.mtu)
              module.mtuChanged(s.port)
              break
            case 'port':
              nic0.members.delete(P1)
              nic1.members.delete(P1)
              for (const nic of [nic0, nic1]) if (nic.name === s.on) nic.members.add(P1)
              module.portChanged(P1)
              // The fake looks at where entries leave whenever they are put.
              await rest()
              break
            case 'traffic': {
              const id = ids.get(s.flow)
              if (id === undefined) break
              const carried = rulesOf(id)
              const by = carried[s.packets % Math.max(1, carried.length)] ?? dpif.table.get(id)!
              hit(by.stats, rig.clock, s.packets)
              sent.set(s.flow, sent.get(s.flow)! + s.packets)
              break
            }
            case 'rest':
              await rest()
              statistics()
              break
            case 'step':
              rig.scheduler.step()
              break
            case 'flush':
              for (const side of [nic0, nic1, dpif]) side.flush()
              break
            case 'die':
              nic0.setState('restarting')
              break
            case 'back':
              nic0.setState('running')
              break
          }
          check()
        }
        if (nic0.state !== 'running') nic0.setState('running')
        for (let i = 0; i < 4; i++) {
          for (const side of [nic0, nic1, dpif]) side.flush()
          await rest()
        }
        check()
        statistics()
        for (const id of all()) {
          const { match, actions } = module.flow(id)!
          const [fresh, is] = [module.wouldOffload(match, actions), module.verdict(id)!]
          // Of several things that are in the way, a verdict names the first one that was.
          const place = (v: typeof is): string => (v.state === 'offloaded' ? v.eswitch : v.state)
          if (place(fresh) !== place(is))
            throw new Error(`flow ${id} is ${JSON.stringify(is)}, and afresh ${JSON.stringify(fresh)}`)
        }
        const held = (nic: FakeEswitch): void => {
          const named = new Set(
            [...nic.rules.values()].flatMap(({ rule }) => rule.actions.flatMap((a) => entriesOf(a))),
          )
          if ([...named].sort().join() !== [...nic.encaps.keys()].sort().join())
            throw new Error(`${nic.name} holds entries ${[...nic.encaps.keys()]} for ${[...named]}`)
          for (const id of named)
            if (nic.encaps.get(id) !== dpif.encaps.get(id)) throw new Error(`${nic.name} has an old entry ${id}`)
        }
        held(nic0)
        held(nic1)
        const { pending, encap, decap } = module.summary().tunnels
        if (pending !== 0) throw new Error(`${pending} flows still wait`)
        if (decap !== [...ids].filter(([flow]) => flow > 5).length) throw new Error(`${decap} decapsulated flows`)
        if (encap === 0 && [...ids].some(([, id]) => entriesOf(...module.flow(id)!.actions).length > 0))
          throw new Error('flows that encapsulate are not filed')
        for (const event of module.events(1000))
          if (event.micros === undefined) throw new Error(`${event.text} does not end`)
        const peers = new Set([...ids].filter(([flow]) => flow > 5).map(([, id]) => module.flow(id)!.match.key[18]))
        if (view.watched.size !== peers.size)
          throw new Error(`${view.watched.size} peers are watched, not ${peers.size}`)
      },
    ),
    { numRuns: 300, examples: [[BACK_AT_ONCE, false, false, false]] },
  )
}, 60_000)

const entriesOf = (...actions: readonly OdpAction[]): number[] =>
  actions.flatMap((a) => (a.type === 'tnl_push' ? [a.entry] : a.type === 'clone' ? entriesOf(...a.actions) : []))
