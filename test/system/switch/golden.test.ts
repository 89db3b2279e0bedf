import { afterAll, beforeAll, expect, it } from 'vitest'
import { Capture } from '../kit/capture.ts'
import { differences, explain } from '../kit/compare.ts'
import { readPcap, writePcap } from '../kit/pcap.ts'
import { sendFrames } from '../kit/scapy.ts'
import { Testbed } from '../kit/testbed.ts'
import { type GuestName, LINK, NAMES, startBed } from './beds.ts'
import { hello, type Mix, makeMix } from './mix.ts'

/** The golden rule: the same frames in give the same frames out, offload on or off. */

const REPEATS = 10
const record = new Testbed()
let mix: Mix[]
beforeAll(async () => {
  mix = await makeMix(REPEATS)
  for (const { from, frames } of mix) writePcap(record.path(`${from}.pcap`), frames)
})
afterAll(() => record.close())

interface Outcome {
  readonly received: Record<GuestName, Uint8Array[]>
  /** Frames that tier 2 handled while the mix ran. */
  readonly datapathFrames: number
}

const play = async (offload: boolean): Promise<Outcome> => {
  const { bed, daemon, guests } = await startBed({ offload, addressed: false })
  try {
    // Guests that only look: no addresses, no neighbour discovery.
    for (const name of NAMES) {
      await guests[name].sysctl('net.ipv6.conf.all.disable_ipv6', 1)
      await guests[name].must(['ip', 'link', 'set', LINK[name], 'up'])
    }
    const heard = await Capture.start(bed, guests.c0, LINK.c0, { direction: 'in' })
    for (const name of NAMES) await sendFrames(guests[name], LINK[name], await hello(name))
    await heard.until(NAMES.length - 1)
    await heard.stop()
    const before = await daemon.counters()
    const captures = await Promise.all(
      NAMES.map(
        async (name) => [name, await Capture.start(bed, guests[name], LINK[name], { direction: 'in' })] as const,
      ),
    )
    for (const { from } of mix) {
      const frames = (await readPcap(record.path(`${from}.pcap`))).map((f) => f.bytes)
      await sendFrames(guests[from], LINK[from], frames, { burst: 16, gap: 0.01 })
    }
    const received = {} as Record<GuestName, Uint8Array[]>
    for (const [name, capture] of captures) received[name] = (await capture.stop()).map((f) => f.bytes)
    const after = await daemon.counters()
    return { received, datapathFrames: after.dpif.frames - before.dpif.frames }
  } finally {
    await bed.close()
  }
}

it('the same frames in give the same frames out, offload on or off', async () => {
  const on = await play(true)
  const off = await play(false)
  const sent = mix.reduce((n, { frames }) => n + frames.length, 0)
  const eligible = mix.reduce((n, one) => n + one.eligible, 0)
  for (const name of NAMES) {
    expect(on.received[name].length, name).toBeGreaterThan(0)
    expect(explain(differences(off.received[name], on.received[name]), `${name}, off`, `${name}, on`), name).toBe('')
  }
  expect(off.datapathFrames).toBeGreaterThanOrEqual(sent)
  // All that is not eligible passes tier 2; so what is beyond that are eligible frames that did not leave by tier 3.
  const late = on.datapathFrames - (sent - eligible)
  expect(1 - late / eligible).toBeGreaterThanOrEqual(0.8)
}, 180_000)
