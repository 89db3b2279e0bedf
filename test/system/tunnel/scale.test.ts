import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OffloadEventsReply } from '../../../src/control/replies.ts'
import { needKernel } from '../kit/kernel.ts'
import { makeFrames, sendFrames } from '../kit/scapy.ts'
import { ipBatch } from '../kit/underlay.ts'
import { type Dual, greet, hop, MANY_MAC, startDual } from './dual.ts'

/** 10,000 flows of guest `many` to 200 peers, 50 each; TAPSWITCH_SOAK=1 lets the routes move for a minute. */
const PEERS = 200
const FLOWS = 50
const RATE = 1000
const SECONDS = process.env['TAPSWITCH_SOAK'] === '1' ? 60 : 5
const peerNet = (p: number): string => `172.16.${p}.0/24`

let dual: Dual
beforeAll(async () => {
  const many = Array.from({ length: PEERS * FLOWS }, (_, i) => {
    const p = Math.floor(i / FLOWS)
    return `priority=10,in_port=1,ip,nw_dst=10.${p}.${i % FLOWS}.1,actions=set_field:172.16.${p}.1->tun_dst,set_field:200->tun_id,output:2`
  })
  dual = await startDual({ many, datapath: { 'max-idle': 600_000 } })
  const { guests, daemon } = dual
  await greet(dual)
  await ipBatch(
    guests.hv1,
    Array.from({ length: PEERS }, (_, p) => `route add ${peerNet(p)} via ${hop('p0', 2)}`),
  )
  const frames = await makeFrames(`
base = bytes(Ether(src="${MANY_MAC}", dst="02:00:00:00:72:99")/IP(src="10.250.0.1", dst="10.0.0.1", chksum=0)/UDP(sport=7, dport=9, chksum=0)/b"x")
frames = [base[:30] + bytes([10, p, f, 1]) + base[34:] for p in range(${PEERS}) for f in range(${FLOWS})]`)
  await sendFrames(guests.many, 'vf1', frames, { burst: 8, gap: 0.004 })
  await daemon.until(
    '10,000 tunnelled flows offloaded',
    () => daemon.data<{ tunnels: { encap: number }; offloaded: number }>('offload/show'),
    ({ tunnels, offloaded }) => tunnels.encap >= PEERS * FLOWS && offloaded >= PEERS * FLOWS,
    30_000,
  )
}, 120_000)
afterAll(() => dual?.bed.close())

/** Replaces one route after the other, by p1 and p0 in turn, RATE a second. */
const mover = (total: number): string => `
import subprocess, time
ip = subprocess.Popen(['ip', '-batch', '-'], stdin=subprocess.PIPE, text=True)
start, n = time.monotonic(), 0
while n < ${total}:
    while n < min(${total}, int((time.monotonic() - start) * ${RATE}) + 1):
        way = 1 - n // ${PEERS} % 2
        ip.stdin.write(f'route replace 172.16.{n % ${PEERS}}.0/24 via 10.0.{way}.2\\n')
        n += 1
    ip.stdin.flush()
    time.sleep(0.004)
ip.stdin.close()
print(ip.wait(), round(time.monotonic() - start, 3))
`

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))]!

const residentKiB = async (pid: number): Promise<number> =>
  Number((await dual.guests.hv1.must(['ps', '-o', 'rss=', '-p', String(pid)])).trim())

describe(`10,000 tunnelled flows, and ${RATE} routes moving a second, each with 50 of them, for ${SECONDS} s:`, () => {
  it(
    'events are applied soon, the control socket answers, memory stays, and the end is what the kernel says',
    async (context) => {
      await needKernel(context, 'vxlan', 'bridge', 'veth')
      const { daemon, guests } = dual
      const total = RATE * SECONDS
      const before = await daemon.data<OffloadEventsReply>('offload/events', '1')
      const memory = await residentKiB(daemon.process.pid)

      let moving = true
      const moved = guests.hv1
        .must(['/usr/bin/python3', '-c', mover(total)], { timeout: (SECONDS + 30) * 1000 })
        .finally(() => {
          moving = false
        })
      /** By place in the time line: microseconds until it was applied. */
      const applied = new Map<number, number>()
      const flows = new Map<number, number>()
      const answers: number[] = []
      const read = async (): Promise<OffloadEventsReply> => {
        const asked = performance.now()
        const reply = await daemon.data<OffloadEventsReply>('offload/events', '256')
        answers.push(performance.now() - asked)
        for (const [i, event] of reply.events.entries()) {
          const place = reply.total - reply.events.length + i
          if (place < before.total || event.kind !== 'route' || event.micros === null) continue
          applied.set(place, event.micros)
          flows.set(place, event.flows)
        }
        return reply
      }
      while (moving) {
        await read()
        await delay(50)
      }
      expect(await moved).toMatch(/^0 /)
      await daemon.until('all is applied', read, ({ events }) => events.every((event) => event.micros !== null), 10_000)

      const times = [...applied.values()]
      const figures = {
        events: times.length,
        flows: [...flows.values()].reduce((a, b) => a + b, 0),
        appliedMs: {
          median: quantile(times, 0.5) / 1000,
          p99: quantile(times, 0.99) / 1000,
          max: Math.max(...times) / 1000,
        },
        answerMs: { median: quantile(answers, 0.5), max: Math.max(...answers) },
        grownMiB: ((await residentKiB(daemon.process.pid)) - memory) / 1024,
      }
      console.log(JSON.stringify(figures))
      // A route that moves again before it was looked at is looked at once.
      expect(figures.events).toBeGreaterThan(total * 0.5)
      expect(figures.flows).toBeGreaterThanOrEqual(figures.events * FLOWS)
      expect(figures.appliedMs.p99).toBeLessThanOrEqual(50)
      expect(figures.answerMs.max).toBeLessThanOrEqual(100)
      expect(figures.grownMiB).toBeLessThan(128)

      const kernel = JSON.parse(await guests.hv1.must(['ip', '-json', 'route', 'show'])) as {
        dst: string
        dev: string
      }[]
      const expected = new Map(kernel.map(({ dst, dev }) => [dst, dev]))
      const dump = await daemon.verb('dpctl/dump-flows', '--names')
      const wrong: string[] = []
      let seen = 0
      for (const [line, p] of dump.matchAll(/^.*ipv4\(dst=10\.(\d+)\.\d+\.1,.*$/gm)) {
        seen++
        const dev = expected.get(peerNet(Number(p)))!
        if (!line.includes(`out_port(${dev})),${dev.slice(3)})`) || !line.includes('offloaded:yes')) wrong.push(line)
      }
      expect({ seen, wrong: wrong.slice(0, 3) }).toEqual({ seen: PEERS * FLOWS, wrong: [] })
    },
    (SECONDS + 60) * 1000,
  )
})
