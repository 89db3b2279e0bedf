/** What is merged at the receive, against what was sent: packets of many flows through a kernel's bridge from one TAP to another, one by one or packed, read with merging and without. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { native } from '../../../src/native/binding.ts'
import { createArena, setTunnelPorts } from '../../../src/packet/slot.ts'
import { NO_FACTS } from '../../unit/native/slot.ts'
import { build, type Shape } from '../../unit/native/super-frame.ts'
import { type Facts, twinSegment } from '../../unit/native/twin.ts'
import { needKernel } from '../kit/kernel.ts'
import { Testbed } from '../kit/testbed.ts'
import { MOST, Reader, send } from './batch.ts'
import { type Side, tap } from './splice.ts'

let bed: Testbed
beforeEach(() => {
  bed = new Testbed()
})
afterEach(() => bed.close())

const TUNNEL_GSO = 0x180

interface Flow {
  readonly frame: number[]
  readonly facts: Facts
  /** As on a wire. */
  readonly packets: number[][]
}

/** TCP with options and PSH at its end, and UDP, of both versions of IP, without a tunnel and in one of each kind. */
const flows = (tunnelled: boolean): Flow[] => {
  const all: Flow[] = []
  const tunnels = tunnelled
    ? ([
        { ip: { version: 4, extra: 0, id: 7 }, csum: true },
        { ip: { version: 6, extra: 0, id: 0 }, csum: true },
      ] as const)
    : ([null] as const)
  for (const tunnel of tunnels)
    for (const version of [4, 6] as const)
      for (const tcp of [true, false])
        for (const size of [18, 700]) {
          const shape: Shape = {
            ...{ vlans: 0, tunnel, ip: { version, extra: 0, id: 100 }, tcp, tcpOptions: 3, tcpFlags: 0x18, seq: 1000 },
            gsoSize: size,
            payload: Array.from({ length: size * 11 + 5 }, (_, i) => (i * 7 + all.length) & 255),
          }
          const { frame, facts } = build(shape)
          // A source port of its own.
          frame[facts.csumStart + 1] = all.length + 1
          all.push({ frame, facts, packets: twinSegment(frame, facts)! })
        }
  return all
}

/** Reads until there is nothing more for a while; what came, as on a wire, and in how many frames. */
const receive = async (side: Side, wanted: number): Promise<{ packets: number[][]; frames: number }> => {
  const arena = createArena(1, 512, 64)
  setTunnelPorts(arena, [4789])
  const reader = new Reader(side, arena)
  const pieces = new Uint8Array(1 << 20)
  const lengths = new Int32Array(256)
  const packets: number[][] = []
  let frames = 0
  await expect
    .poll(
      () => {
        const slots = reader.read(MOST)
        for (const slot of slots) {
          const count = native.segment(arena.bytes, arena.meta, slot, pieces, lengths)
          expect(count).toBeGreaterThan(0)
          for (let i = 0, at = 0; i < count; at += lengths[i++]!)
            packets.push([...pieces.subarray(at, at + lengths[i]!)])
          reader.pool.give(slot)
        }
        frames += slots.length
        return packets.length
      },
      { interval: 2, timeout: 10_000 },
    )
    .toBe(wanted)
  return { packets, frames }
}

/** But for what the identification of an IPv4 packet is, and its header's checksum, where it may not be fragmented: it says nothing then (RFC 6864). */
const textOf = (packet: readonly number[]): string =>
  packet[12] === 8 && (packet[20]! & 0x40) !== 0
    ? packet.map((byte, i) => (i === 18 || i === 19 || i === 24 || i === 25 ? 0 : byte)).join()
    : packet.join()

it.for([
  ['one by one', false, 'best', true],
  ['one by one', false, 'none', false],
  ['tunnelled, one by one', true, 'best', true],
  ['tunnelled, one by one', true, 'none', false],
  ['tunnelled, flow by flow', true, 'best', true],
  ['tunnelled, flow by flow', true, 'none', false],
  ['tunnelled and packed', true, 'best', true],
  ['tunnelled and packed', true, 'none', false],
] as const)(
  'packets sent %s (tunnels: %s), TAP with offloads %s: all come as they were sent; merged: %s',
  async ([how, tunnelled, offloads, merged], context) => {
    await needKernel(context, 'bridge')
    const middle = await bed.guest('m')
    const from = tap(bed, { name: 'from', netns: middle.netns })
    const to = tap(bed, { name: 'to', netns: middle.netns, offloads })
    await middle.sysctl('net.ipv6.conf.all.disable_ipv6', 1)
    await middle.must(['ip', 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0'])
    for (const link of ['from', 'to']) await middle.must(['ip', 'link', 'set', link, 'master', 'br0', 'up'])
    await middle.must(['ip', 'link', 'set', 'br0', 'up'])

    const all = flows(tunnelled)
    const known = new Map(all.flatMap(({ packets }, flow) => packets.map((p, n) => [textOf(p), { flow, n }] as const)))
    const total = known.size
    if (how === 'tunnelled and packed')
      send(
        { ...from, offloads: from.offloads & ~TUNNEL_GSO },
        all.map(({ frame, facts }) => [frame, facts] as const),
      )
    else if (how === 'tunnelled, flow by flow') {
      const one = (packet: number[]) => [packet, NO_FACTS] as const
      let writes = 0
      for (const { packets } of all) writes += send(from, packets.map(one))
      // The short ones of a flow are joined.
      expect(writes).toBe(total / 2 + all.length / 2)
    } else {
      // Flows take turns.
      const turns = Math.max(...all.map(({ packets }) => packets.length))
      for (let n = 0; n < turns; n++)
        send(
          from,
          all.flatMap(({ packets }) => packets.slice(n, n + 1).map((packet) => [packet, NO_FACTS] as const)),
        )
    }
    const got = await receive(to, total)
    const next = all.map(() => 0)
    for (const packet of got.packets) {
      const which = known.get(textOf(packet))
      expect(which, packet.slice(0, 100).join()).toBeDefined()
      expect(which!.n).toBe(next[which!.flow]!++)
    }
    expect(next).toEqual(all.map(({ packets }) => packets.length))
    if (merged) expect(got.frames).toBeLessThan(total / 4)
    else expect(got.frames).toBe(total)
  },
)
