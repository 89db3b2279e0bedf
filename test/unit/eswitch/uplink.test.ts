import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Uplink } from '../../../src/eswitch/uplink.ts'
import { createRingMemory, RingConsumer, RingProducer } from '../../../src/lib/ring.ts'
import { createArena, M_PORT, META_WORDS, SlotPool } from '../../../src/packet/slot.ts'
import { DOWN_RETURN, LINK_RECORD, linkRingWords } from '../../../src/port/link.ts'

const PORTS = 4
const SMALL_LEN = 60
const BIG_LEN = 9000

const open = (small: number, big: number) => {
  const arena = createArena(1, small, big)
  const pool = new SlotPool(arena, 0)
  const words = linkRingWords(arena)
  const up = createRingMemory(words)
  const down = createRingMemory(words)
  let signals = 0
  const uplink = new Uplink(up, down, pool, () => signals++)
  const take = (port: number, len: number): number => {
    const slot = pool.take(len)
    if (slot >= 0) arena.meta[slot * META_WORDS + M_PORT] = port
    return slot
  }
  /** The datapath gives a slot back; meanwhile its packet came out of a tunnel, whose port it has now. */
  const datapath = new RingProducer(down)
  const back = (slot: number, port: number): void => {
    arena.meta[slot * META_WORDS + M_PORT] = port
    const at = datapath.reserve(LINK_RECORD)
    datapath.words[at] = DOWN_RETURN
    datapath.words[at + 1] = slot
    datapath.publish()
    uplink.drain({ frameDown: () => undefined, markerDown: () => undefined })
  }
  const above = new RingConsumer(up)
  /** The datapath takes all that it sees, and sleeps. */
  const asleep = (): void => {
    above.awake()
    while (above.next() >= 0);
    above.release()
    expect(above.sleep()).toBe(true)
  }
  const send = (frames: number): void => {
    for (let i = 0; i < frames; i++) expect(uplink.frame(take(0, SMALL_LEN))).toBe(true)
  }
  return { uplink, pool, take, back, asleep, send, signals: () => signals }
}

describe('room on the way up', () => {
  const step = fc.record({
    port: fc.nat(PORTS - 1),
    wide: fc.boolean(),
    how: fc.constantFrom('frame', 'hold', 'let-go', 'cancel'),
  })

  it('is what can be sent, whatever is up and held, and to the last frame', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 40 }),
        fc.array(step, { maxLength: 120 }),
        fc.nat(PORTS - 1),
        fc.array(fc.boolean(), { minLength: 64, maxLength: 64 }),
        (small, big, steps, port, sizes) => {
          const { uplink, take } = open(small, big)
          const held: number[] = []
          for (const s of steps) {
            if (s.how === 'let-go') for (const slot of held.splice(0)) uplink.reserved(slot)
            else if (s.how === 'cancel' && held.length > 0) uplink.cancel(held.pop()!)
            else {
              const slot = take(s.port, s.wide ? BIG_LEN : SMALL_LEN)
              if (slot < 0) continue
              if (s.how === 'frame') uplink.frame(slot)
              else if (uplink.reserve(slot)) held.push(slot)
            }
          }
          const room = uplink.room(port)
          expect(room).toBeGreaterThanOrEqual(0)
          for (let i = 0; i < room; i++) {
            const slot = take(port, sizes[i % sizes.length] ? BIG_LEN : SMALL_LEN)
            if (slot < 0) return
            expect(uplink.frame(slot), `frame ${i} of ${room}`).toBe(true)
            // What is held has its place, and is no part of that room.
            for (const waiting of held.splice(0)) uplink.reserved(waiting)
          }
        },
      ),
    )
  })

  it('leaves half to others, and their first frames always a place', () => {
    const { uplink, take } = open(64, 64)
    let sent = 0
    for (let slot = take(0, SMALL_LEN); uplink.frame(slot); slot = take(0, SMALL_LEN)) sent++
    // A port stops where it has as many up as are left free.
    expect(sent).toBe(16)
    expect(uplink.room(0)).toBe(0)
    expect(uplink.room(1)).toBe(8)
  })

  it('counts frames of one class that went up twice: one place less, one more in use', () => {
    const { uplink, take } = open(64, 64)
    expect(uplink.room(0)).toBe(16)
    for (let i = 0; i < 10; i++) uplink.frame(take(0, BIG_LEN))
    expect(uplink.room(0)).toBe(6)
  })

  it('is that of the port by which a frame came, also when it is back from there with another one', () => {
    const { uplink, take, back } = open(64, 64)
    for (let i = 0; i < 100; i++) {
      const slot = take(0, SMALL_LEN)
      expect(uplink.frame(slot)).toBe(true)
      back(slot, 3)
    }
    expect([uplink.room(0), uplink.room(3)]).toEqual([16, 16])
  })
})

describe('a datapath that sleeps', () => {
  it('is woken for a few frames when a round adds none, or the NIC’s thread is to sleep', () => {
    const { uplink, asleep, send, signals } = open(256, 64)
    asleep()
    for (const frames of [1, 3, 2]) {
      send(frames)
      expect([uplink.publish(), signals()]).toEqual([false, 0])
    }
    expect([uplink.publish(), signals()]).toEqual([false, 1])
    expect([uplink.publish(), signals()]).toEqual([false, 1])
    asleep()
    send(1)
    uplink.publish()
    expect([uplink.sleep(), signals()]).toEqual([true, 2])
  })

  it('is woken for many at once, also when every round adds some', () => {
    const { uplink, asleep, send, signals } = open(256, 64)
    asleep()
    for (let rounds = 1; rounds <= 4; rounds++) {
      send(8)
      uplink.publish()
      expect(signals()).toBe(rounds < 4 ? 0 : 1)
    }
  })

  it('is woken for a batch whose answer is waited for', () => {
    const { uplink, asleep, send, signals } = open(256, 64)
    asleep()
    send(16)
    expect([uplink.publish(), signals()]).toEqual([true, 1])
  })

  it('is not signalled while it is awake', () => {
    const { uplink, send, signals } = open(256, 64)
    send(20)
    uplink.publish()
    uplink.publish()
    expect([uplink.sleep(), signals()]).toEqual([true, 0])
  })
})
