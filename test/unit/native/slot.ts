/** One frame with its facts in a fresh arena's big slot, as the addon sees it. */
import {
  type Arena,
  createArena,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_INNER_NH,
  M_LEN,
  M_OFF,
  M_OUTER_TH,
  M_VFLAGS,
  META_WORDS,
} from '../../../src/packet/slot.ts'
import type { Facts } from './twin.ts'

export const NO_FACTS: Facts = {
  flags: 0,
  gsoType: 0,
  gsoSize: 0,
  csumStart: 0,
  csumOff: 0,
  outerTh: 0,
  innerNh: 0,
}

export const arena: Arena = createArena(1, 1, 4)

/** Puts the frame into big slot 1 to 4. */
export const put = (slot: number, frame: ArrayLike<number>, facts: Facts = NO_FACTS): number => {
  const m = slot * META_WORDS
  const { meta, bytes } = arena
  bytes.set(frame, meta[m + M_OFF]!)
  meta[m + M_LEN] = frame.length
  meta[m + M_VFLAGS] = facts.flags
  meta[m + M_GSO_TYPE] = facts.gsoType
  meta[m + M_GSO_SIZE] = facts.gsoSize
  meta[m + M_CSUM_START] = facts.csumStart
  meta[m + M_CSUM_OFF] = facts.csumOff
  meta[m + M_OUTER_TH] = facts.outerTh
  meta[m + M_INNER_NH] = facts.innerNh
  return slot
}

/** The frame's bytes as they are now. */
export const get = (slot: number): number[] => {
  const m = slot * META_WORDS
  return [...arena.bytes.subarray(arena.meta[m + M_OFF]!, arena.meta[m + M_OFF]! + arena.meta[m + M_LEN]!)]
}
