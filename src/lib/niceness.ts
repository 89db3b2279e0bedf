/** The process's standing with the kernel's scheduler: niceness, -20 (first of all) to 19. */
import { readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

/**
 * Who carries others' packets should not wait behind those who send them; but who comes before them at once, as with the -10 of Open vSwitch's `ovs-ctl`, interrupts them after
 * each packet and gets small batches (docs/performance.md).
 */
export const SWITCH_NICENESS = -4
const LEAST = -20
const MOST = 19

/** A niceness as it is written. Throws for anything else. */
export const parseNiceness = (text: string): number => {
  const nice = Number(text)
  if (!/^-?\d+$/.test(text) || nice < LEAST || nice > MOST)
    throw new Error(`--nice ${text}: a niceness of ${LEAST}..${MOST} expected`)
  return nice
}

/** What a switch should have: what was asked for, otherwise what who started it has chosen (`present`), otherwise a switch's. */
export const nicenessFor = (asked: number | undefined, present = getPriority()): number =>
  asked ?? (present === 0 ? SWITCH_NICENESS : present)

/** Gives it to all threads of the process; those that they start inherit it. Throws when the kernel refuses: to get less than one has needs CAP_SYS_NICE. */
export const setNiceness = (nice: number): void => {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), nice)
    } catch (error) {
      // It has ended.
      if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error
    }
  }
}
