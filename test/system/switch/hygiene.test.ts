import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ping } from '../kit/ping.ts'
import { scapy } from '../kit/scapy.ts'
import { type Bed, ip4, LINK, startBed } from './beds.ts'

/** What the daemon costs when nothing happens, and after much has. */

let it_: Bed
beforeAll(async () => {
  it_ = await startBed({ datapath: { 'max-idle': 500 } })
})
afterAll(() => it_?.bed.close())

/** Milliseconds of CPU time so far: utime and stime of proc(5), in ticks of 10 ms. */
const cpu = (): number => {
  const stat = readFileSync(`/proc/${it_.daemon.process.pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** Resident set, in MB. */
const memory = (): number =>
  Number(readFileSync(`/proc/${it_.daemon.process.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)![1]) / 1024

/** Milliseconds: a measuring window, in which nothing is awaited. */
const MEASURED = 2000

it('idles: of two seconds, four threads take less than a quarter of one', async () => {
  await ping(it_.guests.vm0, ip4('vm1'))
  const before = cpu()
  await delay(MEASURED)
  const used = cpu() - before
  console.info(`idle: ${used / 2} ms of CPU time a second, ${memory().toFixed(0)} MB resident`)
  expect(used).toBeLessThan(250)
})

/** Frames of `n` new flows: each has addresses that nobody has seen. */
const burst = (n: number, seed: number): Promise<string> =>
  scapy(
    it_.guests.vm0,
    `
import random, socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("${LINK.vm0}", 0))
r = random.Random(${seed})
for n in range(${n}):
    s.send(bytes([2, 1]) + r.randbytes(4) + bytes([2, 2]) + r.randbytes(4) + bytes.fromhex("88b5") + bytes(46))
    if n % 32 == 31: time.sleep(0.002)
`,
  )

it('20,000 new flows leave the daemon answering, and no larger than 20,000 before did', async () => {
  const { daemon, guests } = it_
  // Both times are measured alike: what stands in the caches is not what is left behind.
  const gone = (): Promise<unknown> =>
    daemon.until(
      'the flows have gone',
      () => daemon.counters(),
      ({ dpif }) => dpif.flows < 500,
      15_000,
    )
  const waits: number[] = []
  let done = false
  const asking = (async () => {
    while (!done) {
      const start = performance.now()
      await daemon.verb('port/show')
      waits.push(performance.now() - start)
      await delay(10)
    }
  })()
  await burst(20_000, 1)
  await gone()
  const first = memory()
  await burst(20_000, 2)
  await gone()
  const last = memory()
  done = true
  await asking
  const slowest = Math.max(...waits)
  console.info(
    `flows: ${first.toFixed(0)} MB after 20,000, ${last.toFixed(0)} MB after 20,000 more; ` +
      `port/show ${waits.length} times, the slowest after ${slowest.toFixed(0)} ms`,
  )
  expect(last - first).toBeLessThan(100)
  expect(waits.length).toBeGreaterThan(20)
  expect(slowest).toBeLessThan(2000)
  const upcalls = Number(await daemon.verb('coverage/read-counter', 'datapath_upcall'))
  expect(upcalls).toBeGreaterThan(10_000)
  expect(await ping(guests.vm0, ip4('vm1'))).toMatchObject({ loss: 0, duplicates: 0 })
}, 90_000)
