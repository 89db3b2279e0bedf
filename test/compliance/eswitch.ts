/** What every provider of the eswitch contract must do (src/eswitch/contract.ts). Run over each by eswitch.test.ts. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Eswitch } from '../../src/eswitch/contract.ts'
import { K_VLAN0 } from '../../src/flow/key.ts'
import type { OdpAction } from '../../src/flow/odp.ts'
import { flowMatch, output, portMatch } from '../pipeline/tiers/flows.ts'
import { build, numbered } from '../pipeline/tiers/frames.ts'
import { entry, HEADERS, innerMatch, outerMatch, pop, push, wrapped } from '../pipeline/tiers/tunnels.ts'

/** An eswitch with ports 1, 2 and 3, room for 4 rules, and the hands of a test on it. */
export interface EswitchSubject {
  readonly eswitch: Eswitch
  /** A frame comes in by a port; resolves when it has gone where it goes. */
  send(port: number, frame: Uint8Array): Promise<void>
  /** Commands given so far have been done. */
  settle(): Promise<void>
  /** Frames that left by a port since the last call. */
  taken(port: number): Uint8Array[]
  /** Frames that missed since the last call. */
  missed(): number
  /** The worker is lost; and the next one runs. */
  lose(): Promise<void>
  recover(): Promise<void>
}

export const eswitchCompliance = (name: string, open: () => Promise<EswitchSubject>): void => {
  describe(`${name} as an eswitch`, () => {
    let s: EswitchSubject
    const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    const put = (id: number, match = portMatch(1), actions: readonly OdpAction[] = output(2)): string =>
      s.eswitch.rulePut({ id, match, actions })

    beforeEach(async () => {
      s = await open()
    })

    it('has its ports, and room for its profile', () => {
      expect([1, 2, 3, 4].map((no) => s.eswitch.hasPort(no))).toEqual([true, true, true, false])
      expect([s.eswitch.state, s.eswitch.ruleCount, s.eswitch.capacity]).toEqual(['running', 0, 4])
    })

    it('sends up what no rule matches', async () => {
      put(1, flowMatch(1, 5))
      await s.settle()
      await s.send(1, numbered(6, 0))
      await s.send(2, numbered(5, 0))
      expect([s.missed(), s.taken(2).length]).toEqual([2, 0])
    })

    it('does what a rule says, to copies where several outputs want the frame', async () => {
      put(1, portMatch(1), [
        { type: 'push_vlan', tpid: 0x8100, tci: 0x1005 },
        ...output(2),
        { type: 'pop_vlan' },
        ...output(3),
      ])
      await s.settle()
      const frame = numbered(0, 1)
      await s.send(1, frame)
      expect(s.missed()).toBe(0)
      expect(s.taken(2).map((f) => f.length)).toEqual([frame.length + 4])
      expect(s.taken(3)).toEqual([frame])
    })

    it('drops by a rule without actions', async () => {
      put(1, portMatch(1), [])
      await s.settle()
      await s.send(1, numbered(0, 0))
      expect([s.missed(), s.taken(2).length, s.taken(3).length]).toEqual([0, 0, 0])
    })

    it('matches masked fields', async () => {
      const match = portMatch(1)
      match.mask[K_VLAN0] = 0x1fff
      match.key[K_VLAN0] = 0x1007
      put(1, match)
      await s.settle()
      const tagged = (vid: number, pcp: number) => numbered(0, 0, { vlans: [{ tpid: 0x8100, tci: (pcp << 13) | vid }] })
      await s.send(1, tagged(7, 3))
      await s.send(1, tagged(8, 3))
      await s.send(1, numbered(0, 0))
      expect([s.taken(2).length, s.missed()]).toEqual([1, 2])
    })

    it('counts as on the wire, with TCP flags', async () => {
      put(1)
      await s.settle()
      const tcp = (flags: number) =>
        build({
          dst: '02:00:00:00:00:02',
          src: '02:00:00:00:00:01',
          ip: { src: '10.0.0.1', dst: '10.0.0.2' },
          tcp: { src: 1, dst: 2, flags },
        })
      await s.send(1, tcp(2))
      await s.send(1, tcp(0x10))
      expect(s.eswitch.ruleStats(1, stats)).toBe(true)
      expect([stats.packets, stats.bytes, stats.tcpFlags]).toEqual([2, 108, 0x12])
      expect(stats.used).toBeGreaterThan(0)
      expect(s.eswitch.ruleStats(2, stats)).toBe(false)
    })

    it('replaces actions of the same match; statistics go on', async () => {
      put(1)
      await s.settle()
      await s.send(1, numbered(0, 0))
      expect(put(1, portMatch(1), output(3))).toBe('ok')
      await s.settle()
      await s.send(1, numbered(0, 1))
      expect([s.taken(2).length, s.taken(3).length, s.eswitch.ruleCount]).toEqual([1, 1, 1])
      s.eswitch.ruleStats(1, stats)
      expect(stats.packets).toBe(2)
    })

    it('replaces the match of an id', async () => {
      put(1)
      await s.settle()
      expect(put(1, portMatch(3))).toBe('ok')
      await s.settle()
      await s.send(1, numbered(0, 0))
      await s.send(3, numbered(0, 0))
      expect([s.missed(), s.taken(2).length, s.eswitch.ruleCount]).toEqual([1, 1, 1])
    })

    it('is full at its capacity, and says so', async () => {
      expect([0, 1, 2, 3, 4].map((n) => put(n, flowMatch(1, n)))).toEqual(['ok', 'ok', 'ok', 'ok', 'full'])
      expect([...s.eswitch.ruleIds()].sort()).toEqual([0, 1, 2, 3])
      s.eswitch.ruleDel(2)
      expect(put(4, flowMatch(1, 4))).toBe('ok')
      await s.settle()
      expect([0, 1, 2, 3, 4].map((id) => s.eswitch.ruleActive(id))).toEqual([true, true, false, true, true])
    })

    it('removes with the final statistics', async () => {
      put(1)
      await s.settle()
      await s.send(1, numbered(0, 0))
      let final = -1
      s.eswitch.ruleDel(1, (last) => {
        final = last.packets
      })
      await s.settle()
      await s.send(1, numbered(0, 1))
      expect([final, s.missed(), s.eswitch.ruleActive(1), s.eswitch.ruleCount]).toEqual([1, 1, false, 0])
      let unknown = -1
      s.eswitch.ruleDel(99, (last) => {
        unknown = last.packets
      })
      await s.settle()
      expect(unknown).toBe(0)
    })

    it('loses all rules with its worker, before it tells; their statistics can still be read', async () => {
      put(1)
      await s.settle()
      await s.send(1, numbered(0, 0))
      const seen: string[] = []
      s.eswitch.onState((state) => {
        seen.push(`${state} ${s.eswitch.ruleCount} ${s.eswitch.ruleStats(1, stats)} ${stats.packets}`)
      })
      await s.lose()
      expect(seen).toEqual(['restarting 0 true 1'])
      expect(put(1)).toBe('down')
      await s.recover()
      expect(s.eswitch.state).toBe('running')
      expect(put(1)).toBe('ok')
      await s.settle()
      await s.send(1, numbered(0, 1))
      expect(s.taken(2).length).toBe(2)
    })

    it('refuses a rule that leaves in_port open', () => {
      const match = portMatch(1)
      match.mask[1] = 0
      expect(() => put(1, match)).toThrow(/in_port/)
    })

    it('takes an id for another rule after the goodbye of the one that had it', async () => {
      expect([put(3), put(0, portMatch(3))]).toEqual(['ok', 'ok'])
      await s.settle()
      await s.send(1, numbered(0, 0))
      let gone = false
      s.eswitch.ruleDel(3, () => {
        gone = true
      })
      await s.settle()
      expect([gone, [...s.eswitch.ruleIds()], s.eswitch.ruleStats(3, stats)]).toEqual([true, [0], false])
      expect(put(3, flowMatch(1, 7), output(3))).toBe('ok')
      await s.settle()
      await s.send(1, numbered(7, 0))
      s.eswitch.ruleStats(3, stats)
      expect([stats.packets, s.taken(2).length, s.taken(3).length]).toEqual([1, 1, 1])
    })

    it('puts the header of an entry in front, which may change', async () => {
      expect(s.eswitch.encapPut(entry(5, 2))).toBe('ok')
      put(1, portMatch(1), push(5))
      await s.settle()
      const frame = numbered(0, 1)
      await s.send(1, frame)
      const out = s.taken(2)
      expect([out.length, out[0]!.length, out[0]!.subarray(HEADERS)]).toEqual([1, frame.length + HEADERS, frame])
      expect(s.eswitch.encapPut(entry(5, 3))).toBe('ok')
      await s.settle()
      await s.send(1, frame)
      expect([s.taken(2).length, s.taken(3).length, s.missed()]).toEqual([0, 1, 0])
      s.eswitch.ruleStats(1, stats)
      expect([stats.packets, stats.bytes]).toEqual([2, 2 * frame.length])
    })

    it('leaves to the datapath what an entry is not there for, or too narrow, before it does anything', async () => {
      const both: OdpAction[] = [...output(3), ...push(5)]
      put(1, portMatch(1), both)
      await s.settle()
      await s.send(1, numbered(0, 0))
      expect([s.missed(), s.taken(3).length]).toEqual([1, 0])
      s.eswitch.encapPut(entry(5, 2, { mtu: 82 }))
      await s.settle()
      await s.send(1, numbered(0, 0))
      await s.send(1, numbered(0, 0, { payload: [0, 0, 0, 0, 0] }))
      expect([s.missed(), s.taken(2).length, s.taken(3).length]).toEqual([1, 1, 1])
      s.eswitch.encapDel(5)
      await s.settle()
      await s.send(1, numbered(0, 0))
      expect([s.missed(), s.taken(2).length]).toEqual([1, 0])
      s.eswitch.ruleStats(1, stats)
      expect(stats.packets).toBe(1)
    })

    it('takes no entry that is not ready, and loses them with its worker', async () => {
      expect(s.eswitch.encapPut(entry(5, 2, { state: 'pending' }))).toBe('down')
      expect(s.eswitch.encapPut(entry(5, 2))).toBe('ok')
      await s.settle()
      await s.lose()
      expect(s.eswitch.encapPut(entry(5, 2))).toBe('down')
      await s.recover()
      put(1, portMatch(1), push(5))
      await s.settle()
      await s.send(1, numbered(0, 0))
      expect([s.missed(), s.taken(2).length]).toEqual([1, 0])
    })

    it('opens packets that a pair of rules matches outside and inside, and counts both', async () => {
      put(1, outerMatch(1), pop)
      put(2, innerMatch(1, 0))
      await s.settle()
      const frame = wrapped(0, 3)
      await s.send(1, frame)
      expect([s.missed(), s.taken(2)]).toEqual([0, [numbered(0, 3)]])
      const of = (id: number): number[] => {
        s.eswitch.ruleStats(id, stats)
        return [stats.packets, stats.bytes]
      }
      expect([of(1), of(2)]).toEqual([
        [1, frame.length],
        [1, frame.length - HEADERS],
      ])
      // Another inner flow; a packet to be written; none of a tunnel; and without one of the two.
      await s.send(1, wrapped(1, 0))
      await s.send(1, wrapped(0, 0, { tos: 3, inner: { ip: { src: '10.0.0.1', dst: '10.0.0.2', tos: 2 } } }))
      await s.send(1, numbered(0, 0))
      s.eswitch.ruleDel(1)
      await s.settle()
      await s.send(1, wrapped(0, 0))
      put(1, outerMatch(1), pop)
      s.eswitch.ruleDel(2)
      await s.settle()
      await s.send(1, wrapped(0, 0))
      expect([s.missed(), s.taken(2).length, of(1)[0]]).toEqual([5, 0, 0])
    })

    it('does not open a packet for a rule that says nothing of tunnels', async () => {
      put(1, outerMatch(1), pop)
      put(2, flowMatch(1, 0))
      await s.settle()
      await s.send(1, wrapped(0, 0))
      await s.send(1, numbered(0, 0))
      expect([s.missed(), s.taken(2).length]).toEqual([1, 1])
    })

    it('refuses tnl_pop beside other actions, and reenter', () => {
      expect(() => put(1, portMatch(1), [...output(2), ...pop])).toThrow(/tnl_pop/)
      expect(() => put(1, portMatch(1), [{ type: 'reenter', port: 2 }])).toThrow(/reenter/)
    })
  })
}
