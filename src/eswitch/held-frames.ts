/**
 * Frames that wait in the eswitch, as they came: for their rule to become active, or for earlier frames of their microflow. Each keeps its place on the way up, so that
 * none is lost if it must go there after all.
 */
import { HEADROOM, M_LEN, M_USER, META_WORDS, SMALL_SIZE } from '../packet/slot.ts'
import type { EswitchShared } from './shared.ts'
import { EC_HELD } from './shared.ts'
import type { Uplink } from './uplink.ts'

/** Words of a held slot: its rule; its rule for the inner packet, -1 if that is not known; its microflow, and the outer packet's (order.ts). */
const U_RULE = M_USER
const U_INNER = M_USER + 1
const U_ORDER = M_USER + 2
const U_OUTER = M_USER + 3

/** Frames that wait, over all rules. */
const MAX_HELD = 512
/** Part of the big slots that they may take. */
const HELD_BIG = 0.25

/** What becomes of a frame that is looked at again: it stays, it has gone, it must go up. */
export const STAYS = 0
export const GONE = 1
export const UP = 2

/** Lets a frame go (GONE), or says that it stays (STAYS). `behind`: a frame of its microflows, before it, stays. `all`: it may not stay. */
export type LetGo = (slot: number, behind: boolean, all: boolean) => number

export class HeldFrames {
  readonly #meta: Int32Array
  readonly #shared: EswitchShared
  readonly #uplink: Uplink
  readonly #letGo: LetGo
  readonly #slots = new Int32Array(MAX_HELD)
  #big = 0
  count = 0

  constructor(shared: EswitchShared, uplink: Uplink, letGo: LetGo) {
    this.#meta = shared.arena.meta
    this.#shared = shared
    this.#uplink = uplink
    this.#letGo = letGo
  }

  /** True if a frame of either microflow waits. */
  has(order: number, outer: number): boolean {
    return this.#has(order, outer, this.count)
  }

  rule(slot: number): number {
    return this.#meta[slot * META_WORDS + U_RULE]!
  }

  inner(slot: number): number {
    return this.#meta[slot * META_WORDS + U_INNER]!
  }

  order(slot: number): number {
    return this.#meta[slot * META_WORDS + U_ORDER]!
  }

  outer(slot: number): number {
    return this.#meta[slot * META_WORDS + U_OUTER]!
  }

  /** False when there is no room; the slot stays the caller's. `inner` -1: none, or not known. */
  add(slot: number, rule: number, inner: number, order: number, outer: number): boolean {
    const wide = this.#isWide(slot)
    if (
      this.count === MAX_HELD ||
      (wide && this.#big >= this.#shared.arena.big * HELD_BIG) ||
      !this.#uplink.reserve(slot)
    )
      return false
    const m = slot * META_WORDS
    this.#meta[m + U_RULE] = rule
    this.#meta[m + U_INNER] = inner
    this.#meta[m + U_ORDER] = order
    this.#meta[m + U_OUTER] = outer
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
      const wide = this.#isWide(slot)
      const behind = this.#has(this.order(slot), this.outer(slot), kept)
      if (this.#letGo(slot, behind, all) === STAYS) this.#slots[kept++] = slot
      else if (wide) this.#big--
    }
    this.count = kept
    this.#shared.counters[EC_HELD] = kept
  }

  /** True if one of the first `n` is of either microflow. */
  #has(order: number, outer: number, n: number): boolean {
    for (let i = 0; i < n; i++) {
      const has = this.order(this.#slots[i]!)
      const hasOuter = this.outer(this.#slots[i]!)
      if (has === order || has === outer || hasOuter === order || hasOuter === outer) return true
    }
    return false
  }

  #isWide(slot: number): boolean {
    return this.#meta[slot * META_WORDS + M_LEN]! > SMALL_SIZE - HEADROOM
  }
}
