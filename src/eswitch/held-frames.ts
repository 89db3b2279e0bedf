/**
 * Frames that wait in the eswitch, as they came: for their rule to become active, or for earlier frames of their microflow. Each keeps its place on the way up, so that
 * none is lost if it must go there after all.
 */
import { HEADROOM, M_LEN, M_USER, META_WORDS, SMALL_SIZE } from '../packet/slot.ts'
import type { EswitchShared } from './shared.ts'
import { EC_HELD } from './shared.ts'
import type { Uplink } from './uplink.ts'

/** Words of a held slot: its rule; its microflow; its rule for the inner packet, -1 if that is not known. */
const U_RULE = M_USER
const U_ORDER = M_USER + 1
const U_INNER = M_USER + 2

/** Frames that wait, over all rules. */
const MAX_HELD = 512
/** Part of the big slots that they may take. */
const HELD_BIG = 0.25

/** What becomes of a frame that is looked at again: it stays, it has gone, it must go up. */
export const STAYS = 0
export const GONE = 1
export const UP = 2

export interface HeldHandler {
  /** Lets the frame go (GONE), or says that it stays (STAYS). `behind`: a frame of its microflow, before it, stays. `all`: it may not stay. */
  letGo(slot: number, rule: number, inner: number, order: number, behind: boolean, all: boolean): number
}

export class HeldFrames {
  readonly #meta: Int32Array
  readonly #shared: EswitchShared
  readonly #uplink: Uplink
  readonly #handler: HeldHandler
  readonly #slots = new Int32Array(MAX_HELD)
  #big = 0
  count = 0

  constructor(shared: EswitchShared, uplink: Uplink, handler: HeldHandler) {
    this.#meta = shared.arena.meta
    this.#shared = shared
    this.#uplink = uplink
    this.#handler = handler
  }

  /** True if a frame of the microflow waits. */
  has(order: number): boolean {
    return this.#has(order, this.count)
  }

  /** False when there is no room; the slot stays the caller's. `inner` -1: none, or not known. */
  add(slot: number, rule: number, inner: number, order: number): boolean {
    const wide = this.#isWide(slot)
    if (
      this.count === MAX_HELD ||
      (wide && this.#big >= this.#shared.arena.big * HELD_BIG) ||
      !this.#uplink.reserve(slot)
    )
      return false
    const m = slot * META_WORDS
    this.#meta[m + U_RULE] = rule
    this.#meta[m + U_ORDER] = order
    this.#meta[m + U_INNER] = inner
    this.#slots[this.count++] = slot
    if (wide) this.#big++
    this.#shared.counters[EC_HELD] = this.count
    return true
  }

  /** Another rule for the inner packet is what the frame waits for. */
  setInner(slot: number, inner: number): void {
    this.#meta[slot * META_WORDS + U_INNER] = inner
  }

  /** Looks at all of them again, in order. */
  review(all: boolean): void {
    let kept = 0
    for (let i = 0; i < this.count; i++) {
      const slot = this.#slots[i]!
      const m = slot * META_WORDS
      const order = this.#meta[m + U_ORDER]!
      const wide = this.#isWide(slot)
      const behind = this.#has(order, kept)
      if (this.#handler.letGo(slot, this.#meta[m + U_RULE]!, this.#meta[m + U_INNER]!, order, behind, all) === STAYS)
        this.#slots[kept++] = slot
      else if (wide) this.#big--
    }
    this.count = kept
    this.#shared.counters[EC_HELD] = kept
  }

  /** True if one of the first `n` is of the microflow. */
  #has(order: number, n: number): boolean {
    for (let i = 0; i < n; i++) if (this.#meta[this.#slots[i]! * META_WORDS + U_ORDER] === order) return true
    return false
  }

  #isWide(slot: number): boolean {
    return this.#meta[slot * META_WORDS + M_LEN]! > SMALL_SIZE - HEADROOM
  }
}
