/**
 * Look-ups of frames that often come in runs of one flow: a frame whose headers are like those of the one before it, by the same way, has its key and its flow without extraction and look-up.
 * One thread only. In front of the cache of tier 2 and of both of tier 3.
 */
import { type Arena, M_PORT, M_RECIRC_ID, META_WORDS } from '../packet/slot.ts'
import type { FlowCache } from './cache.ts'
import { extractFrame } from './extract-frame.ts'
import { createKey, K_TCP_FLAGS } from './key.ts'
import { KnownHeaders } from './known-headers.ts'
import { microflow } from './microflow.ts'

/** Ways that are told apart; others share one. */
const WAYS = 8
/** After so many frames in a row none of which was like the one before it, only those of every TRY_EVERYth are remembered: to remember costs a third of what it saves. */
const PATIENCE = 4
const TRY_EVERY = 32

const UNKNOWN = -1

/** The last frame of one way. */
export class Look {
  /** Of the frame of the last `extract`, until the next. */
  readonly key = createKey()
  readonly #arena: Arena
  readonly #table: FlowCache
  readonly #headers: KnownHeaders
  /** Of the table when #flow was found in it. */
  #version = 0
  #flow = UNKNOWN
  #order = 0
  #ordered = false
  /** Frames in a row that were not alike, since the last try. */
  #strange = 0

  constructor(arena: Arena, table: FlowCache) {
    this.#arena = arena
    this.#table = table
    this.#headers = new KnownHeaders(arena)
  }

  /** Fills `key` from the slot's frame and metadata. */
  extract(slot: number): void {
    const headers = this.#headers
    if (headers.isAlike(slot)) {
      this.#strange = 0
      const flags = headers.flags << 16
      if (this.key[K_TCP_FLAGS] === flags) return
      this.key[K_TCP_FLAGS] = flags
      if (this.#flow >= 0 && this.#table.looksAt(this.#flow, K_TCP_FLAGS)) this.#flow = UNKNOWN
      return
    }
    extractFrame(this.#arena, slot, this.key)
    this.#flow = UNKNOWN
    this.#ordered = false
    const strange = this.#strange + 1
    if (strange > PATIENCE && strange < PATIENCE + TRY_EVERY) {
      headers.forget()
      this.#strange = strange
    } else {
      headers.remember(slot)
      this.#strange = Math.min(strange, PATIENCE)
    }
  }

  /** Flow of the frame, -1 for none. */
  find(): number {
    const table = this.#table
    if (this.#flow >= 0 && this.#version === table.version) {
      table.cacheHits++
      return this.#flow
    }
    const flow = table.lookup(this.key)
    this.#flow = flow
    this.#version = table.version
    return flow
  }

  /** The frame's microflow. */
  get order(): number {
    if (!this.#ordered) {
      this.#order = microflow(this.key)
      this.#ordered = true
    }
    return this.#order
  }
}

export class Looks {
  readonly #meta: Int32Array
  readonly #ways: readonly Look[]

  constructor(arena: Arena, table: FlowCache) {
    this.#meta = arena.meta
    this.#ways = Array.from({ length: WAYS }, () => new Look(arena, table))
  }

  get first(): Look {
    return this.#ways[0]!
  }

  /** By the way that the slot's frame comes: its port, and whether it has been recirculated. */
  of(slot: number): Look {
    const m = slot * META_WORDS
    return this.#ways[(this.#meta[m + M_PORT]! + this.#meta[m + M_RECIRC_ID]!) & (WAYS - 1)]!
  }
}
