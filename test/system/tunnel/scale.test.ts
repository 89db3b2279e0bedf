import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OffloadEventReply, OffloadEventsReply, OffloadReply, WhyReply } from '../../../src/control/replies.ts'
import { Daemon } from '../kit/daemon.ts'
import { needKernel } from '../kit/kernel.ts'
import { makeFrames, sendFrames } from '../kit/scapy.ts'
import { ipBatch } from '../kit/underlay.ts'
import { type Dual, greet, hop, LOCAL, MANY_MAC, startDual } from './dual.ts'

/**
 * 10,000 flows to and from 200 peers, 50 each: 40 of guest `many` that are encapsulated, 10 of each peer that are decapsulated. TAPSWITCH_SOAK=1 lets the routes move for a minute.
 */
const PEERS = 200
const OUTWARD = 40
const INWARD = 10
const FLOWS = OUTWARD + INWARD
const RATE = 1000
const SECONDS = process.env['TAPSWITCH_SOAK'] === '1' ? 60 : 10
const VNI = 200
const peerNet = (p: number): string => `172.16.${p}.0/24`

let dual: Dual
beforeAll(async () => {
  const outward = Array.from({ length: PEERS * OUTWARD }, (_, i) => {
    const p = Math.floor(i / OUTWARD)
    return `priority=10,in_port=1,ip,nw_dst=10.${p}.${i % OUTWARD}.1,actions=set_field:172.16.${p}.1->tun_dst,set_field:${VNI}->tun_id,output:2`
  })
  const inward = Array.from(
    { length: INWARD },
    (_, f) => `priority=10,in_port=2,ip,nw_src=10.0.${f}.0/255.0.255.0,actions=output:1`,
  )
  const many = [...outward, ...inward]
  dual = await startDual({ many, datapath: { 'max-idle': 600_000 } })
  const { guests, daemon } = dual
  await greet(dual)
  await ipBatch(
    guests.hv1,
    Array.from({ length: PEERS }, (_, p) => `route add ${peerNet(p)} via ${hop('p0', 2)}`),
  )
  const [{ address }] = JSON.parse(await guests.hv1.must(['ip', '-json', 'link', 'show', 'br-p0'])) as [
    { address: string },
  ]
  const frames = await makeFrames(`
base = bytes(Ether(src="${MANY_MAC}", dst="02:00:00:00:72:99")/IP(src="10.250.0.1", dst="10.0.0.1", chksum=0)/UDP(sport=7, dport=9, chksum=0)/b"x")
frames = [base[:30] + bytes([10, p, f, 1]) + base[34:] for p in range(${PEERS}) for f in range(${OUTWARD})]
back = bytes(Ether(src="02:00:00:00:72:99", dst="${MANY_MAC}")/IP(src="10.0.0.1", dst="10.250.0.1", chksum=0)/UDP(sport=9, dport=7, chksum=0)/b"x")
def outer(p): return bytes(Ether(src="02:00:00:00:72:98", dst="${address}")/IP(src="172.16.%d.1" % p, dst="${LOCAL}", flags="DF")/UDP(sport=40000, dport=4789, chksum=0)/VXLAN(flags=8, vni=${VNI})/Raw(back))
frames += [f[:-len(back) + 26] + bytes([10, p, n, 1]) + f[-len(back) + 30:] for p in range(${PEERS}) for f in [outer(p)] for n in range(${INWARD})]`)
  const there = (ms: number): Promise<OffloadReply> =>
    daemon.until(
      '10,000 tunnelled flows offloaded',
      () => daemon.data<OffloadReply>('offload/show'),
      ({ tunnels: { encap, decap }, offloaded }) =>
        encap >= PEERS * OUTWARD && decap >= PEERS * INWARD && offloaded >= PEERS * FLOWS,
      ms,
    )
  const sendAll = async (pace: { burst: number; gap: number }): Promise<void> => {
    await sendFrames(guests.many, 'vf1', frames.slice(0, PEERS * OUTWARD), pace)
    await sendFrames(guests.peer, 'p0', frames.slice(PEERS * OUTWARD), pace)
  }
  // Of new flows tier 1 takes so many a port at once; where it was late, the packets of others were dropped (upcall-limit), and are sent again.
  await sendAll({ burst: 8, gap: 0.004 })
  if (await there(2000).catch(() => undefined)) return
  await sendAll({ burst: 32, gap: 0.004 })
  await there(20_000)
}, 120_000)
afterAll(() => dual?.bed.close())

/** Replaces one route after the other, by p1 and p0 in turn, RATE a second; prints the seconds that it took and the Unix time of its end. */
const mover = (total: number): string => `
import subprocess, sys, time
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
if ip.wait() != 0: sys.exit('a route could not be replaced')
print(time.monotonic() - start, time.time())
`

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))]!

const residentKiB = async (pid: number): Promise<number> =>
  Number((await dual.guests.hv1.must(['ps', '-o', 'rss=', '-p', String(pid)])).trim())

/** The routes of the mirror. */
const routesOf = (daemon: Daemon): Promise<string> => daemon.verb('ovs/route/show')

/** Where the flows of a peer leave or enter, by what `offload/why` tells: each flow with its peer. */
const placed = async (
  daemon: Daemon,
): Promise<{ peer: string; direction: string; port: string; offloaded: boolean }[]> =>
  (await daemon.data<WhyReply[]>('offload/why')).flatMap(({ tunnels, offloaded }) =>
    (tunnels ?? [])
      .filter(({ peer }) => peer.startsWith('172.16.'))
      .map(({ peer, direction, ports }) => ({ peer, direction, port: ports.join(), offloaded })),
  )

describe(`10,000 tunnelled flows, and ${RATE} routes moving a second, each with 50 of them, for ${SECONDS} s:`, () => {
  it(
    'each event is applied soon, the control socket answers, memory stays, and the end is what the kernel says',
    async (context) => {
      await needKernel(context, 'vxlan', 'bridge', 'veth')
      const { bed, daemon, guests } = dual
      const total = RATE * SECONDS
      const before = await daemon.data<OffloadEventsReply>('offload/events', '1')
      const memory = [await residentKiB(daemon.process.pid)]

      let moving = true
      const started = performance.now()
      const moved = guests.hv1
        .must(['/usr/bin/python3', '-c', mover(total)], { timeout: (SECONDS + 30) * 1000 })
        .finally(() => {
          moving = false
        })
      /** By place in the time line: all that were seen; microseconds until they were applied, and flows. */
      const seen = new Map<number, OffloadEventReply>()
      const answers: number[] = []
      let last = before.total
      let asked = started
      const read = async (): Promise<boolean> => {
        const since = asked
        asked = performance.now()
        // Those since the last time, and those of 0.2 s before, which had to be applied meanwhile.
        const count = Math.min(1024, Math.ceil(((asked - since) / 1000 + 0.2) * RATE * 1.2))
        const reply = await daemon.data<OffloadEventsReply>('offload/events', String(count))
        answers.push(performance.now() - asked)
        last = reply.total
        for (const [i, event] of reply.events.entries()) {
          const place = reply.total - reply.events.length + i
          if (place >= before.total) seen.set(place, event)
        }
        return [...seen.values()].every(({ micros }) => micros !== null)
      }
      while (moving) {
        await read()
        memory.push(await residentKiB(daemon.process.pid))
        await delay(50)
      }
      const [elapsed, ended] = (await moved).split(' ').map(Number) as [number, number]
      await daemon.until('all is applied', read, (all) => all, 10_000)
      const appliedAfter = Date.now() - ended * 1000
      memory.push(await residentKiB(daemon.process.pid))

      // No event has left the ring unseen, nor is there one that was not applied.
      expect(seen.size).toBe(last - before.total)
      const events = [...seen.values()].filter(({ kind }) => kind === 'route')
      const times = events.map(({ micros }) => micros! / 1000)
      const half = Math.floor(memory.length / 2)
      const grown = (parts: readonly number[]): number => (Math.min(...parts) - memory[0]!) / 1024
      const figures = {
        elapsed,
        events: events.length,
        ofAllFlows: events.filter(({ flows }) => flows >= FLOWS).length,
        appliedMs: { median: quantile(times, 0.5), p99: quantile(times, 0.99), max: Math.max(...times) },
        appliedAfterMs: appliedAfter,
        answerMs: { median: quantile(answers, 0.5), max: Math.max(...answers) },
        grownMiB: {
          half: grown([memory[half]!]),
          end: grown([memory.at(-1)!]),
          peak: (Math.max(...memory) - memory[0]!) / 1024,
          floors: [grown(memory.slice(half / 2, half)), grown(memory.slice(half))],
        },
      }
      console.log(JSON.stringify(figures))
      expect(figures.elapsed).toBeLessThanOrEqual(SECONDS * 1.1)
      // A route that moves again before it was looked at, 0.2 s later, is looked at once: then one of the two events is of no flows, or there is but one.
      expect(figures.ofAllFlows).toBeGreaterThanOrEqual(total * 0.85)
      // Main is busy for the half of each second with this and with the flows' revalidation, or for nearly all of it where the host's other guests slow the machine down: 9 to 37 ms where
      // the median is 1.0, 54 to 111 where it is 1.6, 194 to 231 where it is 2.3 to 4.6. The bounds are for a machine that is slower still.
      expect(figures.appliedMs.p99).toBeLessThanOrEqual(400)
      expect(figures.appliedMs.max).toBeLessThanOrEqual(600)
      expect(figures.appliedAfterMs).toBeLessThanOrEqual(500)
      expect(figures.answerMs.max).toBeLessThanOrEqual(150)
      // Garbage is collected once it has come to some 120 MiB, which takes 10 s: in a minute what is left of it must be the same each time.
      expect(figures.grownMiB.peak).toBeLessThan(320)
      if (SECONDS > 10) expect(figures.grownMiB.floors[1]! - figures.grownMiB.floors[0]!).toBeLessThan(48)

      const kernel = JSON.parse(await guests.hv1.must(['ip', '-json', 'route', 'show'])) as {
        dst: string
        dev: string
      }[]
      const port = new Map(kernel.map(({ dst, dev }) => [dst.replace('0/24', '1'), dev.replace('br-', '')]))
      const flows = await placed(daemon)
      const count = (direction: string): number => flows.filter((flow) => flow.direction === direction).length
      const wrong = flows.filter((flow) => !flow.offloaded || flow.port !== port.get(flow.peer))
      expect({ encap: count('encap'), decap: count('decap'), wrong: wrong.slice(0, 3) }).toEqual({
        encap: PEERS * OUTWARD,
        decap: PEERS * INWARD,
        wrong: [],
      })
      // And what a switch has that has just read all of it.
      const fresh = await Daemon.start(bed, {
        bridges: {
          'br-fresh': {
            internal: { netns: guests.hv1.netns },
            ports: { vx0: { type: 'vxlan', options: { remote_ip: '192.0.2.2', dst_port: 4790 } } },
          },
        },
      })
      expect(await routesOf(daemon)).toBe(await routesOf(fresh))
    },
    (SECONDS + 60) * 1000,
  )
})
