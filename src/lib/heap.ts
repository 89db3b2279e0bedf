/** How V8 deals with a heap in which nothing happens. The process. */
import { setFlagsFromString } from 'node:v8'

/** Milliseconds, 23 days: not quite the most that the flag takes, to which V8 adds something. */
const NEVER = 2_000_000_000

/**
 * Turns V8's memory reducer off, in all threads. It collects a heap that has been quiet for eight seconds, more than once, so that it gets small, and what goes with the garbage is
 * what V8 has learnt of code that did not run meanwhile: new flows that come after a silence are then dealt with at half the rate, for seconds. The price: garbage of a burst stays until
 * there is more. To be called first of all: once the reducer waits, which begins while modules are loaded, nothing stops it.
 */
export const keepCodeWhenIdle = (): void => setFlagsFromString(`--gc-memory-reducer-start-delay-ms=${NEVER}`)
