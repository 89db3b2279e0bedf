/** Moves of routes while packets run both ways: what must hold of each. */
import { expect } from 'vitest'
import { Stream, WHOLE } from '../kit/stream.ts'
import { A, B, type Dual, eventsSince, eventTotal } from './dual.ts'
import { untilBoth } from './flows.ts'

/** Packets a second, each way. */
const RATE = 5000

export const OTHER = 'other-switch'
/** Flows to and from the peer: an encapsulating and a decapsulated one, each looked at once for the route in hv1; nothing else may be. */
export const OWN = 8

/** What is done, the verdict of both flows then, and how many flows may be looked at for it. */
export type Move = readonly [move: () => Promise<unknown>, verdict: string, most: number]

/** Makes the moves; no packet is lost, none comes twice, and tier 1 is asked about `upcalls` at most. */
export const underTraffic = async (dual: Dual, moves: readonly Move[], upcalls = 0): Promise<void> => {
  const { daemon, guests } = dual
  const stream = await Stream.start(guests.a, A.ip, guests.b, B.ip, { rate: RATE })
  await untilBoth(daemon, A.mac, B.mac, 'offloaded')
  const known = new Set((await daemon.flows()).map(({ ufid }) => ufid))
  const { misses } = (await daemon.counters()).dpif
  for (const [move, verdict, most] of moves) {
    const before = await eventTotal(daemon)
    await move()
    await untilBoth(daemon, A.mac, B.mac, verdict)
    const events = await eventsSince(daemon, before)
    expect(
      events.reduce((sum, event) => sum + event.flows, 0),
      JSON.stringify(events),
    ).toBeLessThanOrEqual(most)
  }
  for (const end of await stream.stop()) {
    expect(end, JSON.stringify(end)).toMatchObject(WHOLE)
    expect(end.sent).toBeGreaterThanOrEqual(0.95 * RATE * end.elapsed)
  }
  const asked = (await daemon.counters()).dpif.misses - misses
  const fresh = (await daemon.flows()).filter(({ ufid }) => !known.has(ufid))
  const text = fresh.map(({ match, preinstalled }) => `${preinstalled ? 'preinstalled' : 'for a packet'}: ${match}`)
  expect(asked, `new flows:\n${text.join('\n')}`).toBeLessThanOrEqual(upcalls)
}
