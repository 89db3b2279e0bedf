/** Internal ports without a host's stack, from the file to the plan. */
import { describe, expect, it, test } from 'vitest'
import { ConfigError, parseConfig } from '../../../src/config/load.ts'
import { loadProfile } from '../../../src/eswitch/profile-file.ts'
import { createPortStats, PORT_STAT_WORDS, PS_DROPS } from '../../../src/port/contract.ts'
import { dropIndex } from '../../../src/port/drop.ts'
import { NobodyPort } from '../../../src/port/nobody.ts'
import { hasStackless, planOf } from '../../../src/switch/plan.ts'

const file = (internal: string, more = '', control = '/run/x.ctl'): string => `control: ${control}
bridges:
  br-phy: { internal: ${internal} }
${more}`
const plan = (text: string) => planOf(parseConfig(text, 'x.yaml'), (name) => loadProfile(name))
const complaint = (text: string): string => {
  try {
    parseConfig(text, 'x.yaml')
    return ''
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
}
const NONE = '{ stack: none, addresses: [10.0.0.1/24] }'

describe('the plan of a bridge with stack: none', () => {
  it('has a port with MAC and MTU; one with a stack has what the file says', () => {
    const [port] = plan(file(NONE)).ports
    expect(port).toMatchObject({ kind: 'internal', stack: 'none', mtu: 1500, addresses: ['10.0.0.1/24'] })
    expect(port!.mac).toMatch(/^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/)
    expect(plan(file('{ stack: host }')).ports).toEqual(plan(file('{}')).ports)
    expect(plan(file('{}')).ports[0]).not.toHaveProperty('stack')
    expect([hasStackless(plan(file(NONE))), hasStackless(plan(file('{}')))]).toEqual([true, false])
  })

  it('has the MAC that it is given, else always the same, which no other switch or bridge has', () => {
    expect(plan(file('{ stack: none, mac: "02:00:00:00:00:09" }')).ports[0]!.mac).toBe('02:00:00:00:00:09')
    const macs = [
      plan(file(NONE)),
      plan(file(NONE, '', '/run/y.ctl')),
      plan(file(NONE).replace('br-phy', 'br-two')),
    ].map(({ ports }) => ports[0]!.mac)
    expect(new Set(macs).size).toBe(3)
    expect(plan(file(NONE)).ports[0]!.mac).toBe(macs[0])
  })

  it('does not say whose routes tunnels follow', () => {
    const two = file(NONE, '  br-host: { internal: { netns: hv1 } }')
    expect(plan(two)).toMatchObject({ underlay: 'hv1' })
    expect(plan(file(NONE))).not.toHaveProperty('underlay')
  })
})

test.each<[string, string, RegExp]>([
  [
    'a namespace',
    file('{ stack: none, netns: hv1 }'),
    /x.yaml:3:\d+: bridges.br-phy.internal.netns: with stack "none"/,
  ],
  ['another stack', file('{ stack: own }'), /"host" or "none" expected/],
])('%s is refused', (_, text, words) => {
  expect(complaint(text)).toMatch(words)
})

const tunnel = '  br-int: { ports: { vx0: { type: vxlan, options: { remote_ip: 10.0.0.2 } } } }'
test('tunnels need no other internal port, nor do they ask which namespace counts when there is one', () => {
  expect(complaint(file(NONE, tunnel))).toBe('')
  expect(complaint(file(NONE, `${tunnel}\n  br-host: { internal: { netns: hv1 } }`))).toBe('')
})

test('what is sent to nobody is counted by name', () => {
  const stats = createPortStats()
  const port = new NobodyPort('br-phy', 3, stats)
  port.tx(new Int32Array(4), 0, 4)
  expect(port.rx()).toBe(0)
  expect(stats[3 * PORT_STAT_WORDS + PS_DROPS + dropIndex('no-stack')]).toBe(4)
})
