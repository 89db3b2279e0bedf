import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { PortReply } from '../../../src/control/replies.ts'
import { ping } from '../kit/ping.ts'
import { must } from '../kit/process.ts'
import { scapy } from '../kit/scapy.ts'
import { type Bed, ip4, LINK, mac, startBed } from './beds.ts'

/** Links of guests that change, and that go, under a running switch. */

let it_: Bed
const start = async (): Promise<void> => {
  it_ = await startBed()
}
const close = (): Promise<void> => it_?.bed.close()

const portIs = (name: string, what: string, condition: (port: PortReply) => boolean): Promise<PortReply> =>
  it_.daemon.until(what, () => it_.daemon.port(name), condition)

/** How many ping has sent. */
const requests = (text: string): number => Number(text.match(/(\d+) packets transmitted/)?.[1])

/** Milliseconds of CPU time that the daemon has used: utime and stime of proc(5), in ticks of 10 ms. */
const cpu = (): number => {
  const stat = readFileSync(`/proc/${it_.daemon.process.pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const MEASURED = 1000

/** CPU time of a second in which nothing is awaited: the measuring window itself. */
const cpuOfOneSecond = async (): Promise<number> => {
  const before = cpu()
  await delay(MEASURED)
  return cpu() - before
}

describe('an interface that changes', () => {
  beforeAll(start)
  afterAll(close)

  describe('the MTU', () => {
    it('of a representor is its VF’s, also when the guest changes it; what is larger is a counted drop', async () => {
      const { guests, daemon } = it_
      expect((await daemon.port('vf1')).mtu).toBe(1500)
      await ping(guests.vm0, ip4('vm1'), { count: 3 })
      await guests.vm1.must(['ip', 'link', 'set', 'vf1', 'mtu', '1400'])
      await portIs('vf1', 'the new MTU', (port) => port.mtu === 1400)
      // By tier 3, and, from another NIC, by tier 2.
      for (const from of ['vm0', 'vm2'] as const) {
        const before = (await daemon.port('vf1')).drops['tx-mtu'] ?? 0
        expect(await ping(guests[from], ip4('vm1'), { count: 2, size: 1372, dontFragment: true })).toMatchObject({
          loss: 0,
        })
        const large = await ping(guests[from], ip4('vm1'), { count: 2, size: 1373, dontFragment: true, wait: 0.3 })
        expect(large.received).toBe(0)
        expect((await daemon.port('vf1')).drops['tx-mtu']).toBe(before + requests(large.text))
      }
      await guests.vm1.must(['ip', 'link', 'set', 'vf1', 'mtu', '9000'])
      await portIs('vf1', 'the new MTU', (port) => port.mtu === 9000)
      expect(await ping(guests.vm0, ip4('vm1'), { count: 2, size: 1472, dontFragment: true })).toMatchObject({
        loss: 0,
      })
    })

    it('lets super-frames pass whose segments fit', async () => {
      const { guests, daemon } = it_
      await guests.vm1.must(['ip', 'link', 'set', 'vf1', 'mtu', '1000'])
      await portIs('vf1', 'the new MTU', (port) => port.mtu === 1000)
      for (const size of [946, 947]) {
        const before = await daemon.port('vf1')
        await scapy(
          guests.vm0,
          `
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(263, 15, 1)
s.bind(("${LINK.vm0}", 0))
head = bytes(Ether(src="${mac('vm0')}", dst="${mac('vm1')}")/IP(src="${ip4('vm0')}", dst="${ip4('vm1')}", len=9500)/TCP(dport=9))
s.send(struct.pack("<BBHHHH", 1, 1, len(head), ${size + 14}, 34, 16) + head + bytes(9460))
`,
        )
        const dropped = size === 946 ? 0 : 1
        await portIs(
          'vf1',
          'the frame',
          (port) =>
            port.txPackets + (port.drops['tx-mtu'] ?? 0) * 10 >=
            before.txPackets + (before.drops['tx-mtu'] ?? 0) * 10 + 10,
        )
        expect(((await daemon.port('vf1')).drops['tx-mtu'] ?? 0) - (before.drops['tx-mtu'] ?? 0)).toBe(dropped)
      }
    })
  })

  describe.each([
    ['a VF', 'vf1', 'vm1', 'vm0'],
    ['a software TAP', 'tap0', 'c0', 'vm2'],
  ] as const)('%s whose port is taken down', (_, link, name, other) => {
    it('has no carrier and no traffic, and all of it again when it is up', async () => {
      const { guests, daemon } = it_
      const carrier = async (): Promise<string> =>
        (await guests[name].run(['cat', `/sys/class/net/${link}/carrier`])).stdout.trim()
      const dropped = async (): Promise<number> => (await daemon.port(link)).drops['port-down'] ?? 0
      await ping(guests[other], ip4(name), { count: 3 })
      await daemon.verb('port/set', link, 'down')
      await daemon.until('no carrier', carrier, (text) => text === '0')
      expect(await guests[name].must(['ip', 'link', 'show', link])).toContain('NO-CARRIER')
      expect(await daemon.port(link)).toMatchObject({ admin: 'down', link: 'down' })
      expect(await ping(guests[other], ip4(name), { count: 2, wait: 0.3 })).toMatchObject({ received: 0 })
      expect(await dropped()).toBeGreaterThanOrEqual(2)
      expect((await ping(guests[name], ip4(other), { count: 1, wait: 0.3 })).received).toBe(0)
      await daemon.verb('port/set', link, 'up')
      await daemon.until('carrier', carrier, (text) => text === '1')
      expect(await daemon.port(link)).toMatchObject({ admin: 'up', link: 'up' })
      await daemon.until(
        'traffic',
        () => ping(guests[other], ip4(name), { count: 1, wait: 0.5 }),
        (result) => result.received === 1,
      )
      const after = await dropped()
      expect(await ping(guests[other], ip4(name))).toMatchObject({ loss: 0 })
      expect(await dropped()).toBe(after)
    })
  })

  it('an uplink is down while the far side is not up; that costs no time, and it comes back by itself', async () => {
    const { guests, daemon } = it_
    expect(await ping(guests.vm0, ip4('fabric'))).toMatchObject({ loss: 0 })
    await guests.fabric.must(['ip', 'link', 'set', 'p0', 'down'])
    await guests.c0.must(['ip', 'link', 'set', 'tap0', 'down'])
    await portIs('p0', 'the uplink is down', (port) => port.link === 'down')
    await portIs('tap0', 'the TAP is down', (port) => port.link === 'down')
    // Frames to it fail, by name; asking for it makes no thread spin.
    expect((await ping(guests.vm0, ip4('fabric'), { count: 2, wait: 0.3 })).received).toBe(0)
    expect((await daemon.port('p0')).drops['tx-error'] ?? 0).toBeGreaterThan(0)
    expect(await cpuOfOneSecond()).toBeLessThan(500)
    await guests.fabric.must(['ip', 'link', 'set', 'p0', 'up'])
    await guests.c0.must(['ip', 'link', 'set', 'tap0', 'up'])
    await portIs('p0', 'the uplink is up', (port) => port.link === 'up')
    await daemon.until(
      'traffic',
      () => ping(guests.vm0, ip4('fabric'), { count: 1, wait: 0.5 }),
      (result) => result.received === 1,
    )
    expect(await ping(guests.c0, ip4('fabric'))).toMatchObject({ loss: 0 })
  })
})

const goneLines = (name: string): number =>
  it_.daemon.output.split('\n').filter((line) => line.includes('interface is gone') && line.includes(`"${name}"`))
    .length

describe('an interface that is gone', () => {
  beforeEach(start)
  afterEach(close)

  const judge = async (): Promise<void> => {
    const { guests, daemon } = it_
    await portIs('vf1', 'the VF is gone', (port) => port.gone === true && port.link === 'down')
    await portIs('tap0', 'the TAP is gone', (port) => port.gone === true)
    expect(await daemon.verb('port/show', 'vf1')).toContain('link down (interface is gone)')
    expect(await daemon.cli('show')).toMatch(/^vf1 .* gone /m)
    expect(await ping(guests.vm0, ip4('vm2'))).toMatchObject({ loss: 0 })
    // Frames for it are no reason to spin either.
    await ping(guests.vm0, ip4('vm1'), { count: 2, wait: 0.2 })
    expect(await cpuOfOneSecond()).toBeLessThan(500)
    expect({ vf1: goneLines('vf1'), tap0: goneLines('tap0') }).toEqual({ vf1: 1, tap0: 1 })
    await expect(daemon.verb('port/set', 'vf1', 'up')).rejects.toThrow(/gone/)
  }

  const again = async (): Promise<void> => {
    const { guests, daemon } = it_
    const others = ping(guests.vm0, ip4('vm2'), { count: 20, interval: 0.05 })
    expect(await daemon.verb('reload')).toMatch(
      /port vf1 opened\n(.*\n)*.*port tap0 opened|port tap0 opened\n(.*\n)*.*port vf1 opened/,
    )
    for (const name of ['vm1', 'c0'] as const) await guests[name].address(LINK[name], `${ip4(name)}/24`)
    expect(await others).toMatchObject({ loss: 0 })
    expect(await ping(guests.vm1, ip4('c0'))).toMatchObject({ loss: 0 })
    expect(await daemon.port('vf1')).toMatchObject({ link: 'up', ofport: 2, mtu: 1500 })
  }

  it('is shown and told of once, disturbs no other, and a reload makes it anew', async () => {
    const { guests, daemon } = it_
    expect(await ping(guests.vm0, ip4('vm1'))).toMatchObject({ loss: 0 })
    await guests.vm1.must(['ip', 'link', 'del', 'vf1'])
    await guests.c0.must(['ip', 'link', 'del', 'tap0'])
    await judge()
    await again()
    expect(daemon.output).not.toMatch(/unhandled|uncaught/)
  })

  it('goes with its namespace, and comes back with it', async () => {
    const { guests, daemon } = it_
    const names = [guests.vm1.netns, guests.c0.netns]
    for (const name of names) await must(['ip', 'netns', 'del', name])
    await judge()
    // Not there yet: the ports stay as they are, and in sight.
    const text = await daemon.verb('reload')
    for (const name of names) expect(text).toContain(`still gone: there is no namespace ${name}`)
    expect(await daemon.port('vf1')).toMatchObject({ gone: true })
    for (const name of names) {
      await must(['ip', 'netns', 'add', name])
      await must(['ip', '-netns', name, 'link', 'set', 'lo', 'up'])
    }
    await again()
    expect(goneLines('vf1')).toBe(1)
    expect(daemon.output).not.toMatch(/unhandled|uncaught/)
  })
})
