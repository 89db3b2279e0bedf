/** Frames without a kernel: a port that gives small UDP frames of many flows in a given order, and the orders. */
import { HEADROOM, M_BASE, M_LEN, M_OFF, M_PORT, M_VFLAGS, META_WORDS, type SlotPool } from '../../src/packet/slot.ts'
import type { Port } from '../../src/port/contract.ts'
import { BATCH } from '../../src/port/thread-status.ts'
import { build } from '../../test/pipeline/tiers/frames.ts'

/** How flows follow each other: each as likely as any other; by Zipf's law with exponent 1; WORKING_SET of them, each as likely as any other of those. */
export type Order = 'uniform' | 'zipf' | 'few'
export const ORDERS: readonly Order[] = ['uniform', 'zipf', 'few']
export const WORKING_SET = 4096

/** Frames before an order begins again. A table of choices is read in sequence, which costs no cache miss. */
const CHOICES = 1 << 21
const FIRST_PORT = 0x5555

const IP_SRC = 26
const IP_DST = 30
const FIRST_SRC = 0x0a000000
const FIRST_DST = 0x0b000000

/** Addresses of flow `flow`; `group` tells apart what differs in more than the source. */
export const sourceOf = (flow: number): number => FIRST_SRC + flow
export const targetOf = (group: number): number => FIRST_DST + group
export const PORTS = (FIRST_PORT << 16) | FIRST_PORT | 0

/** The same numbers in every run. */
const random = (seed: number): (() => number) => {
  let x = seed
  return () => {
    x = (x + 0x6d2b79f5) | 0
    let t = Math.imul(x ^ (x >>> 15), x | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Spreads neighbours, so that what is asked for often does not lie together: a bijection of 0 .. flows - 1. */
const spread = (flows: number): ((rank: number) => number) => {
  const step = 0x9e3779b1 % flows
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
  let odd = Math.max(1, step)
  while (gcd(odd, flows) !== 1) odd++
  return (rank) => (rank * odd) % flows
}

/** Flow numbers below `flows`; `length`: a power of two. */
export const choices = (order: Order, flows: number, length = CHOICES): Int32Array => {
  const next = random(flows)
  const place = spread(flows)
  // Of Zipf's law with exponent 1 the inverse is, near enough, an exponential.
  const zipf = (): number => Math.min(flows - 1, Math.floor((flows + 1) ** next()) - 1)
  const few = Math.min(WORKING_SET, flows)
  const one: Record<Order, () => number> = {
    uniform: () => Math.floor(next() * flows),
    zipf: () => place(zipf()),
    few: () => place(Math.floor(next() * few)),
  }
  return Int32Array.from({ length }, one[order])
}

export class Traffic implements Port {
  readonly name = 'traffic'
  readonly fd = -1
  readonly dead = false
  readonly #frame = build({
    dst: '02:00:00:00:00:02',
    src: '02:00:00:00:00:01',
    ip: { src: '10.0.0.0', dst: '11.0.0.0' },
    udp: { src: FIRST_PORT, dst: FIRST_PORT, zero: true },
    payload: new Array(22).fill(0),
  })
  readonly #groups: number
  #choices: Int32Array = new Int32Array(1)
  #at = 0
  /** Gives nothing unless it flows. */
  flowing = false
  sent = 0

  /** Flow n goes to the target of group n modulo `groups`. */
  constructor(groups = 1) {
    this.#groups = groups
  }

  set order(order: Int32Array) {
    this.#choices = order
    this.#at = 0
  }

  rx(pool: SlotPool, no: number, out: Int32Array, max: number): number {
    const { bytes, meta } = pool.arena
    const frame = this.#frame
    const groups = this.#groups
    let n = 0
    if (!this.flowing) return 0
    // As many a round for every tier, whatever it would take.
    for (; n < max && n < BATCH; n++) {
      const slot = pool.take(frame.length)
      if (slot < 0) break
      const m = slot * META_WORDS
      const off = meta[m + M_BASE]! + HEADROOM
      bytes.set(frame, off)
      const flow = this.#choices[this.#at]!
      this.#at = (this.#at + 1) & (this.#choices.length - 1)
      const src = sourceOf(flow)
      bytes[off + IP_SRC + 1] = src >>> 16
      bytes[off + IP_SRC + 2] = src >>> 8
      bytes[off + IP_SRC + 3] = src
      if (groups > 1) bytes[off + IP_DST + 3] = flow % groups
      meta[m + M_OFF] = off
      meta[m + M_LEN] = frame.length
      meta[m + M_PORT] = no
      meta.fill(0, m + M_VFLAGS, m + META_WORDS)
      out[n] = slot
    }
    return n
  }

  tx(_slots: Int32Array, _from: number, n: number): void {
    this.sent += n
  }
}

/** Nanoseconds of processor time that the frames themselves cost: made, and thrown away. */
export const costOfMaking = (traffic: Traffic, pool: SlotPool, frames: number): number => {
  const out = new Int32Array(64)
  traffic.flowing = true
  const start = process.cpuUsage()
  for (let done = 0; done < frames; ) {
    const n = traffic.rx(pool, 1, out, out.length)
    for (let i = 0; i < n; i++) pool.give(out[i]!)
    done += n
  }
  const { user, system } = process.cpuUsage(start)
  traffic.flowing = false
  return ((user + system) * 1000) / frames
}
