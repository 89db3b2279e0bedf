/** What main and a worker tell each other without a message. */
import type { MessagePort } from 'node:worker_threads'

/** Indices in a worker's shared status words (Int32Array). */
/** Raised every round, and more often in long ones. */
export const STATUS_BEAT = 0
/** Main asks the worker to end. */
export const STATUS_STOP = 1
/** A rehearsed fault: the worker hangs in a busy loop until terminated. */
export const STATUS_HANG = 2
/** Always 0: the worker waits on it for a moment when it can do nothing. */
export const STATUS_PAUSE = 3
/** 1 while the worker waits for its descriptors, so that its beat stands still: in a wait nothing hangs. */
export const STATUS_ASLEEP = 4
/** How many messages main has posted: a look at a number, where a look for a message is a call into the runtime. */
export const STATUS_MAIL = 5
export const STATUS_WORDS = 16

/** Posts a message to the worker at the other end of `port`, which looks for it when the number has changed. Main thread. */
export const postMail = (port: MessagePort, status: Int32Array, message: unknown): void => {
  port.postMessage(message)
  Atomics.add(status, STATUS_MAIL, 1)
}

export const createStatus = (): Int32Array => new Int32Array(new SharedArrayBuffer(STATUS_WORDS * 4))

/** Records taken from a ring in one round. */
export const BATCH = 64
/** Ports that a dozing thread reads. */
export const DOZE_PORTS = 8
/** Frames, super-frames for one, read from a port in one round: so many flows may take turns there and still have their packets merged (native/gro.h). */
export const RX_BATCH = 256
/** Places for what one read gives: see RX_SPARE in native/binding.ts. */
export const RX_ROOM = RX_BATCH + 128
