import { existsSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canonical, checksumState } from '../kit/canonical.ts'
import { Capture } from '../kit/capture.ts'
import { pseudoSum, sum16 } from '../kit/checksum.ts'
import { differences, explain } from '../kit/compare.ts'
import { put16 } from '../kit/frame.ts'
import { injectIpv4 } from '../kit/inject.ts'
import { iperf } from '../kit/iperf.ts'
import { needKernel } from '../kit/kernel.ts'
import { LiveCapture } from '../kit/live.ts'
import { ping } from '../kit/ping.ts'
import { must, run } from '../kit/process.ts'
import { makeFrames, scapy, sendFrames } from '../kit/scapy.ts'
import { Stream } from '../kit/stream.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'

/** The kit itself, on a plain veth pair: what it says of a switch is worth no more than what it says of a wire. */
const bed = new Testbed()
let a: Guest
let b: Guest

beforeAll(async () => {
  ;({ a, b } = await bed.guests('a', 'b'))
  await must(['ip', '-n', a.netns, 'link', 'add', 'e0', 'type', 'veth', 'peer', 'name', 'e0', 'netns', b.netns])
  await a.address('e0', '10.9.0.1/24', 'fd09::1/64')
  await b.address('e0', '10.9.0.2/24', 'fd09::2/64')
})
afterAll(() => bed.close())

const bytes = (frames: readonly { bytes: Uint8Array }[]): Uint8Array[] => frames.map((f) => f.bytes)

describe('on a wire', () => {
  it('pings both families, and says when nothing answers', async () => {
    expect(await ping(a, '10.9.0.2')).toMatchObject({ loss: 0, duplicates: 0 })
    expect(await ping(a, 'fd09::2')).toMatchObject({ loss: 0 })
    expect((await ping(a, '10.9.0.3', { count: 1, wait: 1 })).loss).toBe(100)
  })

  it('begins a stream when the way is open in both directions, so that nothing is lost of it', async () => {
    await a.must(['ip', 'neigh', 'replace', '10.9.0.2', 'lladdr', '02:00:00:00:00:99', 'dev', 'e0', 'nud', 'permanent'])
    const starting = Stream.start(a, '10.9.0.1', b, '10.9.0.2')
    const heard = async (): Promise<number> =>
      Number((await a.must(['cat', '/proc/net/snmp'])).match(/^Udp: (\d+)/m)?.[1])
    const before = await heard()
    await expect.poll(heard, { interval: 5, timeout: 10_000 }).toBeGreaterThan(before + 10)
    await a.must(['ip', 'neigh', 'del', '10.9.0.2', 'dev', 'e0'])
    const ends = await (await starting).stop()
    for (const end of ends) expect(end).toMatchObject({ lost: 0, duplicates: 0, ended: true })
  })

  it('sees super-frames at both ends, and finds them equal as packets', async () => {
    // The two captures do not begin at one moment, and kernels talk by themselves.
    const filter = { filter: 'tcp' }
    const [left, right] = await Promise.all([Capture.start(bed, a, 'e0', filter), Capture.start(bed, b, 'e0', filter)])
    expect((await iperf(a, b, '10.9.0.2', { bytes: '3M' })).bytes).toBeGreaterThan(100_000)
    const [sent, received] = [bytes(await left.stop()), bytes(await right.stop())]
    expect(Math.max(...sent.map((f) => f.length))).toBeGreaterThan(1514)
    const wire = canonical(sent)
    expect(Math.max(...wire.map((f) => f.length))).toBeLessThanOrEqual(1514)
    expect(wire.filter((f) => checksumState(f) === 'wrong')).toHaveLength(0)
    expect(explain(differences(sent, received), 'sent', 'received')).toBe('')
    const damaged = received.map((f) => f.slice())
    damaged.find((f) => f.length > 1000)![200]! ^= 1
    expect(differences(sent, damaged).length).toBeGreaterThan(0)
  })

  it('equals what the kernel cuts itself', async () => {
    await a.must(['ethtool', '-K', 'e0', 'tso', 'off', 'gso', 'off', 'tx', 'off'])
    const cutByKernel = await Capture.start(bed, b, 'e0', { direction: 'in' })
    await iperf(a, b, 'fd09::2', { bytes: '300K' })
    const frames = bytes(await cutByKernel.stop())
    await a.must(['ethtool', '-K', 'e0', 'tso', 'on', 'gso', 'on', 'tx', 'on'])
    expect(Math.max(...frames.map((f) => f.length))).toBeLessThanOrEqual(1514)
    expect(frames.filter((f) => checksumState(f) !== 'right' && checksumState(f) !== 'none')).toHaveLength(0)
    expect(canonical(frames)).toEqual(frames)
  })

  it('captures live by cap what raw-socket injects', async () => {
    const packet = new Uint8Array(28 + 5)
    packet.set([0x45, 0, 0, 33, 0, 9, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2, 0x30, 0x39, 0, 9, 0, 13, 0, 0])
    packet.set(Buffer.from('hello'), 28)
    put16(packet, 26, ~sum16(packet, 20, 13, pseudoSum(packet, 12, 4, 17, 13)) & 0xffff)
    const live = await LiveCapture.start(b, 'e0', 'udp port 9')
    await injectIpv4(a, '10.9.0.2', [packet, packet])
    const frames = await live.until(2)
    expect(await live.stop()).toHaveLength(2)
    expect(Buffer.from(frames[0]!.subarray(42)).toString()).toBe('hello')
    expect(frames.map((f) => checksumState(f))).toEqual(['right', 'right'])
  })

  it('sends frames of any shape as they are', async () => {
    const frames = await makeFrames(`
frames = [Ether(src="02:00:00:00:00:09", dst="02:00:00:00:00:0a")/Dot1Q(vlan=7, prio=3)/IP(dst="10.1.1.1")/UDP()/b"x",
          Ether(dst="ff:ff:ff:ff:ff:ff")/ARP(), Raw(bytes(range(14)))]`)
    expect(frames.map((f) => f.length)).toEqual([47, 42, 14])
    const right = await Capture.start(bed, b, 'e0', { direction: 'in', filter: 'not ip6' })
    await sendFrames(a, 'e0', frames)
    const received = bytes(await right.stop())
    expect(explain(differences(frames, received), 'made', 'received')).toBe('')
    expect(await scapy(a, 'print(len(Ether()/IP()))')).toBe('34\n')
  })
})

describe('the kernel', () => {
  it('is asked for a feature, and a test without it is skipped by name', async (context) => {
    await needKernel(context, 'veth')
    const skipped: string[] = []
    const skip = (note?: string): void => void skipped.push(note ?? '')
    await needKernel({ ...context, skip } as typeof context, '8021q')
    const links = await a.run(['ip', 'link', 'add', 'link', 'e0', 'name', 'e0.7', 'type', 'vlan', 'id', '7'])
    expect(skipped).toEqual(links.code === 0 ? [] : ['kernel lacks 8021q'])
  })
})

describe('what a run leaves', () => {
  const ledgers = '/run/tapswitch-ledgers'

  it('is nothing after the end, for everyone who asks for it', async () => {
    const own = new Testbed()
    const guest = await own.guest('g')
    const first = own.close()
    await own.close()
    expect(existsSync(`/run/netns/${guest.netns}`)).toBe(false)
    await first
  })

  it('is nothing after the end', async () => {
    const own = new Testbed()
    const guest = await own.guest('g')
    const sleeper = guest.start(['sleep', '600'])
    expect(existsSync(`/run/netns/${guest.netns}`)).toBe(true)
    expect(readFileSync(`${ledgers}/test-${own.prefix}`, 'utf8')).toContain(`netns ${guest.netns}`)
    await own.close()
    expect(existsSync(`/run/netns/${guest.netns}`)).toBe(false)
    expect(existsSync(`${ledgers}/test-${own.prefix}`)).toBe(false)
    expect(sleeper.running).toBe(false)
  })

  it('is nothing after SIGKILL and the next start', async () => {
    const script = bed.start([
      'bash',
      '-c',
      `. scripts/ledger.sh; ledger_open test-killed-${bed.prefix}; ledger_note netns ${bed.prefix}-k
       ip netns add ${bed.prefix}-k; sleep 600 >/dev/null 2>&1 & ledger_note process $! $(process_start $!); echo pid $!; wait`,
    ])
    const pid = Number((await script.until(/pid (\d+)/))[1])
    await run(['scripts/sweep'])
    expect(existsSync(`/run/netns/${bed.prefix}-k`)).toBe(true)
    await script.stop('SIGKILL')
    expect(existsSync(`/proc/${pid}`)).toBe(true)
    expect(await must(['scripts/sweep'])).toContain(`test-killed-${bed.prefix}`)
    expect(existsSync(`/run/netns/${bed.prefix}-k`)).toBe(false)
    expect(existsSync(`${ledgers}/test-killed-${bed.prefix}`)).toBe(false)
    // Dead; who must bury it is the machine's affair.
    expect(existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : ') Z').toContain(') Z')
  })
})
