import { beforeAll, describe, expect, it } from 'vitest'
import { checksumState } from '../kit/canonical.ts'
import { Capture } from '../kit/capture.ts'
import { differences, explain } from '../kit/compare.ts'
import { makeFrames, sendFrames, sendSuperFrames } from '../kit/scapy.ts'
import { KINDS } from '../switch/mix.ts'
import { A, B, HOST_MAC, hellos, PEER_MAC, startRaw, tunnelled } from './raw.ts'

/** The golden rule for tunnels: the same frames in give the same frames out, on the wire and at the guest, offload on or off. The outer IP identification aside. */

const SEGMENT = 1400
const ROUNDS = 4
const REPEATS = 10
/** Frames of a side that a bridge drops in any case: those whose tag is cut off. */
const CUT_OFF = ROUNDS * REPEATS
/** Of one guest's whole frames, all kinds, to be encapsulated; of the peer's, encapsulated already, by version of the underlay. */
let outward: Uint8Array[]
const inward: Partial<Record<4 | 6, Uint8Array[]>> = {}
/** TCP super-frames with partial checksums, as a guest's stack hands them over. */
let large: Uint8Array[]

beforeAll(async () => {
  const ends = (from: typeof A, to: typeof A): string =>
    JSON.stringify([from.mac, to.mac, from.ip, to.ip, from.ip6, to.ip6])
  const round = (from: typeof A, to: typeof A): string =>
    `[Raw(bytes(f)) for n in range(${ROUNDS}) for f in unicast(n + 1, *${ends(from, to)})]`
  const repeat = (frames: Uint8Array[]): Uint8Array[] => Array.from({ length: REPEATS }, () => frames).flat()
  outward = repeat(await makeFrames(`${KINDS}\nframes = ${round(A, B)}`))
  for (const version of [4, 6] as const)
    inward[version] = repeat(
      await makeFrames(
        `${KINDS}${tunnelled(version)}\nframes = [tunnelled(f, n) for n, f in enumerate(${round(B, A)})]`,
      ),
    )
  large = await makeFrames(`
e = Ether(src="${A.mac}", dst="${B.mac}")
data = bytes(range(256)) * 80
frames = [e/ip/TCP(sport=3000 + n, dport=80, seq=1000 + n, flags="PA", chksum=0)/data[:n * 4000 + 3000]
          for n in range(5) for ip in (IP(src="${A.ip}", dst="${B.ip}", id=n, flags="DF"), IPv6(src="${A.ip6}", dst="${B.ip6}"))]`)
}, 60_000)

/** Frames that the super-frames become. */
const segments = (): number =>
  large.reduce((n, frame) => n + Math.ceil((frame.length - (frame[12] === 8 ? 54 : 74)) / SEGMENT), 0)

interface Outcome {
  readonly wire: Uint8Array[]
  readonly guest: Uint8Array[]
  /** Frames that tier 2 handled while the mix ran. */
  readonly datapathFrames: number
}

const play = async (version: 4 | 6, offload: boolean): Promise<Outcome> => {
  const { bed, daemon, guests, far } = await startRaw({ offload, version })
  const encapsulated = inward[version]!
  try {
    const { peer, a } = await hellos(version)
    const heard = await Capture.start(bed, guests.a, 'vf0', { direction: 'in' })
    await sendFrames(far, 'wire1', peer)
    await heard.until(1)
    await heard.stop()
    const out = await Capture.start(bed, far, 'wire1', { direction: 'in', filter: 'udp port 4789' })
    await sendFrames(guests.a, 'vf0', a)
    await out.until(1)
    await out.stop()
    const before = (await daemon.counters()).dpif.frames
    const wire = await Capture.start(bed, far, 'wire1', {
      direction: 'in',
      filter: `ether src ${HOST_MAC} and udp port 4789`,
    })
    const guest = await Capture.start(bed, guests.a, 'vf0', { direction: 'in' })
    const pace = { burst: 16, gap: 0.01 }
    await Promise.all([sendFrames(guests.a, 'vf0', outward, pace), sendFrames(far, 'wire1', encapsulated, pace)])
    await sendSuperFrames(guests.a, 'vf0', large, SEGMENT)
    await guest.until(encapsulated.length - CUT_OFF)
    await wire.until(outward.length - CUT_OFF + segments())
    const received = (await guest.stop()).map(({ bytes }) => bytes)
    const sent = (await wire.stop()).map(({ bytes }) => bytes)
    const datapathFrames = (await daemon.counters()).dpif.frames - before
    return { wire: sent, guest: received, datapathFrames }
  } finally {
    await bed.close()
  }
}

describe.each([4, 6] as const)('over IPv%s', (version) => {
  it('the same frames in give the same frames out, encapsulated and decapsulated, offload on or off', async () => {
    const on = await play(version, true)
    const off = await play(version, false)
    for (const [side, options] of [
      ['wire', { ipId: 'ignore' }],
      ['guest', {}],
    ] as const)
      expect(explain(differences(off[side], on[side], options), `${side}, off`, `${side}, on`), side).toBe('')
    // The mix has malformed frames inside, but what is outside is right.
    expect(on.wire.every((frame) => frame[14] === (version === 4 ? 0x45 : 0x60))).toBe(true)
    if (version === 6)
      for (const { wire } of [on, off]) expect(new Set(wire.map((f) => checksumState(f)))).toEqual(new Set(['right']))
    expect(PEER_MAC).toBe(
      Buffer.from(on.wire[0]!.subarray(0, 6))
        .toString('hex')
        .replace(/(..)(?!$)/g, '$1:'),
    )
    const sent = outward.length + inward[version]!.length
    expect(off.datapathFrames).toBeGreaterThanOrEqual(sent)
    expect(1 - on.datapathFrames / sent).toBeGreaterThanOrEqual(0.8)
  }, 120_000)
})
