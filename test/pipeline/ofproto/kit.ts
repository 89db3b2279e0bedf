/** Tier 1 over the fake datapath, with time in the test's hands; and small frames. */
import { K_VLAN0, K_VLAN1 } from '../../../src/flow/key.ts'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import type { Scheduler } from '../../../src/lib/scheduler.ts'
import type { Bridge } from '../../../src/ofproto/bridge.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import { Udpif } from '../../../src/ofproto/udpif.ts'
import { FakeDpif, type Sent } from './fake-dpif.ts'

/** Timers fire only in `advance`, `soon` runs in the order of the calls. */
export class ManualScheduler implements Scheduler {
  now = 0
  /** Milliseconds that every look at the clock takes: what makes slices end. */
  perLook = 0
  readonly queue: (() => void)[] = []
  readonly #timers = new Set<{ at: number; run: () => void }>()

  soon(run: () => void): void {
    this.queue.push(run)
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.now + ms, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  elapsed(): number {
    this.now += this.perLook
    return this.now
  }

  /** Fires what is due by then, in order, each followed by all its slices. */
  advance(ms: number, onSlice: () => void = () => {}): void {
    const end = this.now + ms
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > end) break
      this.#timers.delete(next)
      this.now = Math.max(this.now, next.at)
      next.run()
      this.drain(onSlice)
    }
    this.now = Math.max(this.now, end)
  }

  drain(onSlice: () => void = () => {}): void {
    for (let run = this.queue.shift(); run; run = this.queue.shift()) {
      onSlice()
      run()
    }
  }
}

export interface Lab {
  readonly clock: ManualClock
  readonly scheduler: ManualScheduler
  readonly dpif: FakeDpif
  readonly ofproto: Ofproto
  readonly udpif: Udpif
  /** Lets time pass, on the clock and for timers. */
  pass(ms: number): void
}

export const createLab = (): Lab => {
  const clock = new ManualClock()
  const scheduler = new ManualScheduler()
  const dpif = new FakeDpif(clock)
  const ofproto = new Ofproto(clock)
  const udpif = new Udpif({ ofproto, dpif, clock, scheduler })
  udpif.start()
  const pass = (ms: number): void => {
    // In steps, as time would: expiry looks at the clock, passes at the scheduler.
    for (let left = ms; left > 0; left -= 250) {
      const step = Math.min(250, left)
      clock.advance(step)
      scheduler.advance(step)
    }
  }
  return { clock, scheduler, dpif, ofproto, udpif, pass }
}

export const addRules = (bridge: Bridge, ...rules: string[]): void => {
  for (const rule of rules) bridge.tables.add(parseFlow(rule))
}

export interface FrameSpec {
  readonly src?: number
  readonly dst?: number
  /** Outermost first: TCI, or [TPID, TCI]. */
  readonly tags?: readonly (number | readonly [number, number])[]
  readonly type?: number
  readonly payload?: readonly number[]
}

const put = (bytes: number[], value: number, width: number): void => {
  for (let i = width - 1; i >= 0; i--) bytes.push(Math.floor(value / 2 ** (8 * i)) & 0xff)
}

export const BROADCAST = 0xffffffffffff

export const frame = ({ src = 0x020000000001, dst = BROADCAST, tags = [], type = 0x88b5, payload = [] }: FrameSpec) => {
  const bytes: number[] = []
  put(bytes, dst, 6)
  put(bytes, src, 6)
  for (const tag of tags) {
    const [tpid, tci] = typeof tag === 'number' ? [0x8100, tag] : tag
    put(bytes, tpid, 2)
    put(bytes, tci, 2)
  }
  put(bytes, type, 2)
  bytes.push(...payload)
  while (bytes.length < 60) bytes.push(0)
  return Uint8Array.from(bytes)
}

const tagText = (word: number): string => {
  const tci = word & 0xefff
  const tpid = word >>> 16
  return `${tpid === 0x8100 ? '' : `${tpid.toString(16)}:`}${tci & 0xfff}${tci >> 13 ? `p${tci >> 13}` : ''}`
}

/** '2', or '2[10]', '2[88a8:10 20]' with tags, 'push 0' and 'pop 5' into and out of tunnels: port and tags of each packet sent, sorted. */
export const shown = (sent: readonly Sent[]): string[] =>
  sent
    .map(({ port, key, via }) => {
      const tags = [key[K_VLAN0]!, key[K_VLAN1]!].filter((word) => word !== 0).map(tagText)
      const to = via === undefined ? `${port}` : via === 'pop' ? `pop ${port}` : via
      return tags.length > 0 ? `${to}[${tags.join(' ')}]` : to
    })
    .sort()
