import { existsSync } from 'node:fs'
import { afterEach, expect, it } from 'vitest'
import { tapsIn } from '../kit/daemon.ts'
import { iperf } from '../kit/iperf.ts'
import { type Bed, ip4, LINK, NAMES, startBed } from './beds.ts'

let it_: Bed | undefined
afterEach(() => it_?.bed.close())

it.each(['SIGTERM', 'SIGINT'] as const)('%s under load ends the switch and removes every TAP', async (signal) => {
  it_ = await startBed()
  const { daemon, guests } = it_
  for (const name of NAMES) expect(await tapsIn(guests[name].netns)).toEqual([LINK[name]])
  const transfer = iperf(guests.vm0, guests.vm2, ip4('vm2'), { seconds: 20 }).catch(() => undefined)
  await daemon.until(
    'traffic',
    () => daemon.port(LINK.vm2),
    (port) => port.txPackets > 1000,
    10_000,
  )
  const { code, stderr } = await daemon.stop(signal)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(existsSync(daemon.control)).toBe(false)
  for (const name of NAMES) expect(await tapsIn(guests[name].netns)).toEqual([])
  await it_.bed.close()
  await transfer
})

it('SIGKILL leaves no TAP either, and the next start takes the stale socket over', async () => {
  it_ = await startBed()
  await it_.daemon.stop('SIGKILL')
  for (const name of NAMES) expect(await tapsIn(it_.guests[name].netns)).toEqual([])
  expect(existsSync(it_.daemon.control)).toBe(true)
  const again = it_.bed.start(it_.daemon.process.argv)
  await again.until(/^ready: /m)
})

it('a second switch on the same socket is refused, the first goes on', async () => {
  it_ = await startBed()
  const second = it_.bed.start(it_.daemon.process.argv)
  const { code, stderr } = await second.exited
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/another process listens there|taken|busy/),
  })
  expect(await it_.daemon.verb('version')).toBeTruthy()
})
