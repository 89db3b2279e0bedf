/** Random sequences of all that can happen to flows, against the plain count of what was sent. */
import fc from 'fast-check'
import { test } from 'vitest'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { createStats } from '../../../src/offload/rule-account.ts'
import { createRig, matchOf, output } from './fakes.ts'

const ACTIONS: readonly (readonly OdpAction[])[] = [
  [],
  [output(2)],
  [output(4)],
  [{ type: 'trunc', maxLen: 64 }],
  [output(3), output(2)],
]

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      flow: fc.nat(11),
      port: fc.constantFrom(1, 4, 5),
      actions: fc.nat(ACTIONS.length - 1),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('del' as const), flow: fc.nat(11) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('traffic' as const),
      flow: fc.nat(11),
      packets: fc.integer({ min: 1, max: 50 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 7000 }) }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom({ do: 'drain' as const }, { do: 'step' as const }, { do: 'flush' as const }),
  },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'die' as const }, { do: 'back' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('policy' as const), enabled: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('port' as const), member: fc.boolean() }) },
)

test('no flow without a verdict; verdicts agree with tables; statistics never go backwards and nothing is lost', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 120, size: 'max' }),
      fc.boolean(),
      fc.boolean(),
      (steps, late, placeUntilGone) => {
        const rig = createRig({ profile: { 'table-size': 3 }, offload: { slice: 2 } })
        const { module, nic0, nic1, dpif, scheduler, clock } = rig
        if (late) for (const side of [nic0, nic1, dpif]) side.late = []
        nic0.placeUntilGone = placeUntilGone
        const ids = new Map<number, number>()
        const sent = new Map<number, number>()
        const seen = new Map<number, number>()
        let pendingGoodbyes = 0
        const flush = (): void => {
          for (const side of [nic0, nic1, dpif]) side.flush()
        }
        const check = (look: boolean): void => {
          let offloaded = 0
          for (const [flow, id] of ids) {
            const verdict = module.verdict(id)
            if (!verdict) throw new Error(`flow ${id} has no verdict`)
            const inTable = rig.rulesOf(id).length > 0
            if (inTable !== (verdict.state === 'offloaded'))
              throw new Error(`flow ${id}: ${verdict.state}, in a table: ${inTable}`)
            if (verdict.state === 'offloaded') offloaded++
            else if (verdict.retryOn.length === 0) throw new Error(`flow ${id} waits for nothing: ${verdict.check}`)
            if (!look) continue
            const stats = createStats()
            if (!module.flowStats(id, stats)) throw new Error(`flow ${id} has no statistics`)
            if (stats.packets < (seen.get(flow) ?? 0)) throw new Error(`flow ${id} went back to ${stats.packets}`)
            if (stats.packets !== sent.get(flow)) throw new Error(`flow ${id}: ${stats.packets} of ${sent.get(flow)}`)
            seen.set(flow, stats.packets)
          }
          if (nic0.rules.size + nic1.rules.size !== offloaded) throw new Error('rules without a flow')
          const summary = module.summary()
          const refused = Object.values(summary.refused).reduce((a, b) => a + b, 0)
          if (summary.offloaded !== offloaded || refused !== ids.size - offloaded) throw new Error('counts disagree')
        }
        for (const s of steps) {
          switch (s.do) {
            case 'put': {
              const known = ids.get(s.flow)
              const match = known === undefined ? matchOf(s.port, s.flow) : module.flow(known)!.match
              ids.set(s.flow, rig.put(match, ACTIONS[s.actions]!, known))
              if (known === undefined) sent.set(s.flow, 0)
              break
            }
            case 'del': {
              const id = ids.get(s.flow)
              if (id === undefined) break
              const expected = sent.get(s.flow)!
              pendingGoodbyes++
              ids.delete(s.flow)
              seen.delete(s.flow)
              module.flowDel(id, (final) => {
                pendingGoodbyes--
                if (final.packets !== expected) throw new Error(`final ${final.packets} of ${expected}`)
              })
              break
            }
            case 'traffic': {
              const id = ids.get(s.flow)
              if (id === undefined) break
              rig.traffic(id, s.packets)
              sent.set(s.flow, sent.get(s.flow)! + s.packets)
              break
            }
            case 'pass':
              clock.advance(s.ms)
              scheduler.advance(0)
              break
            case 'drain':
              scheduler.drain()
              break
            case 'step':
              scheduler.step()
              break
            case 'flush':
              flush()
              break
            case 'die':
              nic0.setState('restarting')
              break
            case 'back':
              nic0.setState('running')
              break
            case 'policy':
              module.setPolicy({ enabled: s.enabled })
              break
            case 'port':
              if (s.member) nic0.members.add(3)
              else nic0.members.delete(3)
              module.portChanged(3)
              break
          }
          // Not at every step: what nobody has read must not be lost either.
          check(s.do === 'pass' || s.do === 'drain')
        }
        nic0.setState('running')
        module.setPolicy({ enabled: true })
        for (let i = 0; i < 5; i++) {
          flush()
          scheduler.drain()
        }
        check(true)
        if (pendingGoodbyes !== 0) throw new Error(`${pendingGoodbyes} goodbyes did not come`)
        for (const id of ids.values()) {
          const verdict = module.verdict(id)!
          if (verdict.state === 'refused' && ['policy', 'worker-gone'].includes(verdict.check))
            throw new Error(`flow ${id} was forgotten: ${verdict.check}`)
          const table = [nic0, nic1].find(({ name }) => name === verdict.eswitch)
          if (verdict.state === 'refused' && verdict.check === 'table-full' && table!.ruleCount < table!.capacity)
            throw new Error(`flow ${id} waits although there is room`)
        }
      },
    ),
    { numRuns: 400 },
  )
})
