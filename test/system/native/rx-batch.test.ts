/** What one read takes from a TAP, and which slots it fills. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { RX_NO_SLOT, RX_RUNT } from '../../../src/native/binding.ts'
import {
  createArena,
  HEADROOM,
  M_BASE,
  M_GSO_SIZE,
  M_LEN,
  M_OFF,
  M_SIZE,
  META_WORDS,
  SMALL_SIZE,
} from '../../../src/packet/slot.ts'
import { NO_FACTS } from '../../unit/native/slot.ts'
import { build, type Shape } from '../../unit/native/super-frame.ts'
import { twinSegment } from '../../unit/native/twin.ts'
import { Testbed } from '../kit/testbed.ts'
import { Reader, send } from './batch.ts'
import { attach, type Side, tap } from './splice.ts'

const SMALL_ROOM = SMALL_SIZE - HEADROOM

let bed: Testbed
let near: Side
let far: Side
beforeEach(async () => {
  bed = new Testbed()
  const guest = await bed.guest('g')
  near = tap(bed, { name: 't0', netns: guest.netns })
  await guest.sysctl('net.ipv6.conf.t0.disable_ipv6', 1)
  await guest.must(['ip', 'link', 'set', 't0', 'mtu', '9000', 'up', 'arp', 'off'])
  far = attach(bed, { name: 't0', netns: guest.netns, vnetHdr: false })
})
afterEach(() => bed.close())

/** A frame of an experimental EtherType (IEEE 802, 0x88b5) that differs in every byte from its neighbours. */
const frameOf = (length: number): number[] => {
  const frame = Array.from({ length }, (_, i) => (i * 7) & 0xff)
  frame.splice(0, 14, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5)
  return frame
}

/** 41 packets of one flow of UDP. */
const packets = (): number[][] => {
  const shape: Shape = {
    ...{
      vlans: 0,
      tunnel: null,
      ip: { version: 4, extra: 0, id: 100 },
      tcp: false,
      tcpOptions: 0,
      tcpFlags: 0,
      seq: 0,
    },
    gsoSize: 18,
    payload: Array.from({ length: 18 * 41 }, (_, i) => i & 0xff),
  }
  const { frame, facts } = build(shape)
  return twinSegment(frame, facts)!
}

it('a frame that fits is in a small slot, whatever it was read into, and is as it was sent', () => {
  const arena = createArena(1, 4, 2)
  const reader = new Reader(near, arena)
  const sizes = [64, SMALL_ROOM, SMALL_ROOM + 1, 9000]
  send(
    far,
    sizes.map((size) => [frameOf(size), NO_FACTS] as const),
  )
  const slots = reader.read(4)
  const word = (slot: number, at: number): number => arena.meta[slot * META_WORDS + at]!
  expect(slots.map((slot) => word(slot, M_SIZE) === SMALL_SIZE)).toEqual([true, true, false, false])
  expect(slots.map((slot) => word(slot, M_OFF) - word(slot, M_BASE))).toEqual(sizes.map(() => HEADROOM))
  for (const [i, slot] of slots.entries()) {
    const off = word(slot, M_OFF)
    expect([...arena.bytes.subarray(off, off + word(slot, M_LEN))]).toEqual(frameOf(sizes[i]!))
  }
  expect([reader.pool.smallFree, reader.pool.bigFree]).toEqual([2, 0])
})

it('without a big slot, what fills a small one to its end is counted as if it needed one', () => {
  const arena = createArena(1, 4, 0)
  const reader = new Reader(near, arena)
  send(
    far,
    [SMALL_ROOM - 1, SMALL_ROOM, 9000].map((size) => [frameOf(size), NO_FACTS] as const),
  )
  expect(reader.read(4).map((slot) => arena.meta[slot * META_WORDS + M_LEN])).toEqual([SMALL_ROOM - 1])
  expect([reader.result[RX_NO_SLOT], reader.result[RX_RUNT], reader.pool.smallFree]).toEqual([2, 0, 3])
})

it('packets that are merged take no place, but of eight for each place there is an end', () => {
  const arena = createArena(1, 64, 4)
  const reader = new Reader(near, arena)
  send(
    far,
    packets().map((packet) => [packet, NO_FACTS] as const),
  )
  const merged: number[] = []
  for (let slots = reader.read(2); slots.length > 0; slots = reader.read(2))
    for (const slot of slots) {
      const m = slot * META_WORDS
      merged.push(arena.meta[m + M_GSO_SIZE]! === 0 ? 1 : (arena.meta[m + M_LEN]! - 42) / 18)
    }
  expect(merged).toEqual([16, 16, 9])
})
