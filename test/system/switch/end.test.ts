import { existsSync } from 'node:fs'
import { afterEach, expect, it } from 'vitest'
import { tapsIn } from '../kit/daemon.ts'
import { type Bed, ip4, LINK, NAMES, startBed } from './beds.ts'

let it_: Bed | undefined
afterEach(() => it_?.bed.close())

it.each(['SIGTERM', 'SIGINT'] as const)('%s under load ends the switch and removes every TAP', async (signal) => {
  it_ = await startBed()
  const { daemon, guests } = it_
  for (const name of NAMES) expect(await tapsIn(guests[name].netns)).toEqual([LINK[name]])
  const server = guests.vm2.start(['iperf3', '-s', '-1', '--forceflush'])
  await server.until(/Server listening/)
  guests.vm0.start(['iperf3', '-c', ip4('vm2'), '-t', '60'])
  await daemon.until(
    'traffic',
    () => daemon.port(LINK.vm2),
    (port) => port.txPackets > 1000,
    10_000,
  )
  const { code, stderr } = await daemon.stop(signal)
  // The log tells of nothing worse than information (level 30).
  expect({ code, complaints: stderr.match(/"level":[4-6]0.*/g) }).toEqual({ code: 0, complaints: null })
  expect(existsSync(daemon.control)).toBe(false)
  for (const name of NAMES) expect(await tapsIn(guests[name].netns)).toEqual([])
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
    stderr: expect.stringMatching(/another process listens there|is there already and in use/),
  })
  expect(await it_.daemon.verb('version')).toBeTruthy()
})
