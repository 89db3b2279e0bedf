import { expect, test } from 'vitest'
import { VerbRegistry } from '../../../src/control/registry.ts'
import type { OffloadEventsReply, WhyReply } from '../../../src/control/replies.ts'
import type { SwitchView } from '../../../src/control/verbs/context.ts'
import { registerOffloadVerbs } from '../../../src/control/verbs/offload.ts'
import { matchOf, output } from '../offload/fakes.ts'
import { createTunnelRig, innerMatch, outerMatch, P0, P1, POP, push } from '../offload/tunnel-rig.ts'

const createVerbs = () => {
  const rig = createTunnelRig()
  const registry = new VerbRegistry()
  const { module, dpif, clock } = rig
  const view = {
    offload: module,
    dpif: module,
    clock,
    ports: () => [],
    ofproto: { tunnels: {} },
    udpif: { flow: () => undefined },
  }
  registerOffloadVerbs(registry, view as unknown as SwitchView)
  expect(dpif.flowCount).toBe(0)
  const text = async (verb: string, ...args: string[]): Promise<string> => (await registry.call(verb, args)).text
  return { ...rig, registry, text }
}

test('offload/why tells verdict, way and entry, of one flow, of a peer, of a prefix', async () => {
  const { entry, put, view, text, registry } = createVerbs()
  entry(5, '10.0.0.2')
  entry(6, '10.0.1.2', { reason: 'neighbour-pending' })
  view.ways.set('10.0.0.2', [P0])
  put(outerMatch(P0), [POP])
  put(matchOf(1, 1), [push(5)])
  put(matchOf(1, 2), [push(6)])
  put(innerMatch('10.0.0.2'), [output(1)])
  const of2 = await text('offload/why', '10.0.0.2')
  expect(of2.split('\n').filter((line) => line.startsWith('  '))).toEqual([
    expect.stringMatching(/^ {2}Offloaded to eswitch nic0 as rule \d+ for 0\.0 s\.$/),
    '  tunnel: to 10.0.0.2 from 192.168.0.1 by encap entry 5, ready, leaves by p0',
    expect.stringMatching(/^ {2}Offloaded/),
    '  tunnel: from 10.0.0.2 to 192.168.0.1, enters by p0',
  ])
  const of1 = await text('offload/why', '10.0.1.0/24')
  expect(of1).toContain('check neighbour-pending (10.0.1.2)')
  expect(of1).toContain(
    'it is offered again when the next hop answers, or is another one or the way to the peer changes.',
  )
  expect(of1).toContain(
    '  tunnel: to 10.0.1.2 from 192.168.0.1 by encap entry 6, pending (neighbour-pending): 10.0.1.2',
  )
  const { json } = await registry.call('offload/why', ['10.0.0.0/8'])
  expect((json as WhyReply[]).map(({ reason, tunnels }) => [reason, tunnels?.[0]?.direction])).toEqual([
    [undefined, 'encap'],
    ['neighbour-pending', 'encap'],
    [undefined, 'decap'],
  ])
  await expect(text('offload/why', '10.9.0.0/16')).rejects.toThrow("no flow has a tunnel's peer under 10.9.0.0/16")
  await expect(text('offload/why', '10.0.0.2/33')).rejects.toThrow('no flow has a ufid that begins with 10.0.0.2/33')
})

test('offload/events is the time line, offload/show the sum', async () => {
  const { entry, put, view, rest, text, registry } = createVerbs()
  entry(5, '10.0.0.2')
  put(matchOf(1), [push(5)])
  expect(await text('offload/events')).toBe('')
  const at = performance.now()
  view.event('10.0.0.2/32', () => entry(5, '10.0.0.2', { actions: [output(P1)] }), 1, at)
  view.event('10.0.0.0/8', () => entry(5, '10.0.0.2', { reason: 'no-route' }), 2, at)
  expect(await text('offload/events')).toContain('not yet applied')
  await rest()
  const lines = (await text('offload/events')).trimEnd().split('\n')
  expect(lines).toEqual([
    expect.stringMatching(
      /^\d+\.\d{3} s ago: route 10\.0\.0\.2\/32 -> peers:1 flows:1 moved:1 refused:0 offloaded:0 -> \d+ us$/,
    ),
    expect.stringMatching(/ route 10\.0\.0\.0\/8 -> peers:2 flows:1 moved:0 refused:1 offloaded:0 -> \d+ us$/),
  ])
  expect(await text('offload/events', '1')).toMatch(/^[^\n]* 10\.0\.0\.0\/8 [^\n]*\n$/)
  const { json } = await registry.call('offload/events', [])
  expect(json as OffloadEventsReply).toMatchObject({ total: 2, idle: 0, events: [{ moved: 1 }, { refused: 1 }] })
  expect(await text('offload/show')).toContain(
    'events:2 of no concern:0 flows examined:2 moved:1 refused:1 offloaded:0',
  )
  for (const bad of ['0', '-1', 'x', '1.5']) await expect(text('offload/events', bad)).rejects.toThrow('1 or more')
})
