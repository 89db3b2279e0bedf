/** What processes and the machine have used, from /proc. */
import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ, which the kernel shows to programs on every architecture we run on. */
const TICKS_PER_SECOND = 100
const PAGE_BYTES = 4096

/** CPU seconds of all threads that are alive, to the nanosecond. */
export const cpuOf = (pids: readonly number[]): number => {
  let nanoseconds = 0
  for (const pid of pids)
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      try {
        nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
      } catch {
        // The thread has ended since.
      }
    }
  return nanoseconds / 1e9
}

/** CPU seconds of the whole machine, interrupts included, without idle, waiting and stolen time. */
export const cpuOfMachine = (): number => {
  const [user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return (user! + nice! + system! + irq! + softirq!) / TICKS_PER_SECOND
}

/** Resident bytes; pages that several share count for each. */
export const residentOf = (pids: readonly number[]): number =>
  pids.reduce((n, pid) => n + Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES, 0)
