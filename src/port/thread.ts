/**
 * The loop that both workers run: wait, read a batch of each ready port, act, write, take commands. It never returns to the worker's event
 * loop and never spins on an idle machine.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { native } from '../native/binding.ts'
import { Doze } from './doze.ts'
import type { Poller } from './poller.ts'
import { STATUS_ASLEEP, STATUS_BEAT, STATUS_HANG, STATUS_MAIL, STATUS_PAUSE, STATUS_STOP } from './thread-status.ts'

/** What a tier is to the loop. */
export interface LoopTier {
  /** One round: commands and rings. `ready[0 .. n)` are port numbers that can be read. True if anything was done. */
  round(now: number, ready: Int32Array, n: number): boolean
  /** Announces to all producers that the thread is about to wait. False when something has come meanwhile, or must be looked at again soon. */
  sleep(): boolean
  awake(): void
  /** Goes through the motions of a frame that comes in (doze.ts), and takes those that have. True if there was one. */
  doze(now: number): boolean
  /** Milliseconds until a round is due although nothing comes. */
  patience(): number
  /** A rare command, from the message port. */
  control(message: unknown): void
}

const MAX_WAIT_MS = 1000

export const runLoop = (
  tier: LoopTier,
  poller: Poller,
  eventfd: number,
  status: Int32Array,
  port: MessagePort,
): void => {
  let busy = false
  // None: what was posted before this thread ran is taken in the first round.
  let mail = -1
  let n = 0
  const doze = new Doze()
  while (Atomics.load(status, STATUS_STOP) === 0) {
    status[STATUS_BEAT] = status[STATUS_BEAT]! + 1
    while (Atomics.load(status, STATUS_HANG) !== 0);
    // Also after a round that rings alone kept busy: a port that can be read ends the wait at once, and a ring in which something is refuses the sleep.
    const idle = !busy || n === 0
    const asleep = idle && tier.sleep()
    if (asleep) Atomics.store(status, STATUS_ASLEEP, 1)
    const dozes = asleep && doze.wanted(poller.now)
    n = poller.wait(dozes ? 1 : asleep ? Math.min(MAX_WAIT_MS, Math.ceil(tier.patience())) : 0)
    if (asleep) Atomics.store(status, STATUS_ASLEEP, 0)
    if (poller.woken) native.eventfdDrain(eventfd)
    const posted = Atomics.load(status, STATUS_MAIL)
    if (posted !== mail) {
      mail = posted
      for (let m = receiveMessageOnPort(port); m !== undefined; m = receiveMessageOnPort(port)) tier.control(m.message)
    }
    busy = tier.round(poller.now, poller.ready, n)
    if (dozes && n === 0 && !busy) busy = tier.doze(poller.now)
    if (busy) doze.worked(poller.now)
    // After the round, which has a frame to send; until then others signal in vain at worst.
    if (asleep) tier.awake()
    // Something can be done only after others have given slots back: ports to be read, or what made the tier refuse to sleep.
    if (!busy && (n > 0 || (idle && !asleep))) Atomics.wait(status, STATUS_PAUSE, 0, 1)
  }
}
