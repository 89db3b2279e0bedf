/**
 * The two rings between an eswitch and the datapath: what goes up, what goes down. A record is `[length, op | port << 8, operand]`.
 *
 * Both rings have room for every slot that can be in them, so handing a slot over or back never fails; what bounds them is the number of slots that
 * each side lets the other hold (UP_SHARE, DOWN_SHARE).
 */
import type { Arena } from '../packet/slot.ts'

/** Up: a frame that missed, for the representor `port`; operand: slot of the eswitch. */
export const UP_FRAME = 1
/** Up: a slot of the datapath that was sent; operand: slot. */
export const UP_RETURN = 2
/** Up: tell when all frames of `port` that went up before this have gone; operand: sequence number. */
export const UP_MARKER = 3
/** Up: tell when all frames that went up before this have been looked at. */
export const UP_FENCE = 4
/** Down: send out of `port`, past the table; operand: slot of the datapath or of this eswitch. */
export const DOWN_TX = 1
/** Down: a slot of the eswitch that is used no more; operand: slot. */
export const DOWN_RETURN = 2
/**
 * Down: the answer to UP_MARKER; operand: its sequence number. Two more words: bits (microflowBit) of microflows of which the datapath still keeps frames for long, 0..31 and
 * 32..63; all others have gone. Sequence number 0 answers none: those have gone too.
 */
export const DOWN_MARKER = 3
/** Down: the answer to UP_FENCE. */
export const DOWN_FENCE = 4

export const LINK_RECORD = 3
export const MARKER_RECORD = 5

/** The bit that stands for a microflow (flow/microflow.ts) in answers to markers. Several share one. */
export const microflowBit = (order: number): number => (order ^ (order >>> 16)) & 63

/** Markers that may be under way besides the slots: one for each port, and its repetition. */
const MARKERS = 4096
/** And fences. */
const FENCES = 1

/** Size in words of each of the two rings. */
export const linkRingWords = (arena: Arena): number => {
  const slots = 2 * (arena.small + arena.big)
  let words = 1024
  while (words < LINK_RECORD * (slots + MARKERS + FENCES)) words *= 2
  return words
}

/** The part of its slots (by class) that a thread lets the other one hold: the rest is for its own work. */
export const LINK_SHARE = 0.5

/**
 * For so long a thread leaves frames where they are (in a TAP's queue, in a ring) because the other one has no room for them. That slows their sender down without a
 * loss. Then they are taken again and what finds no room is dropped: a thread that stands still must not hold up what others carry.
 */
export const STALL_MS = 20
