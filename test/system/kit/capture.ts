/** tcpdump on a guest's link: started when it listens, stopped when it has all. */
import { setTimeout as delay } from 'node:timers/promises'
import { type CapturedFrame, readPcap } from './pcap.ts'
import type { Running } from './process.ts'
import type { Guest, Testbed } from './testbed.ts'

let captures = 0

export class Capture {
  readonly path: string
  readonly #tcpdump: Running

  private constructor(path: string, tcpdump: Running) {
    this.path = path
    this.#tcpdump = tcpdump
  }

  /**
   * `direction` 'in': what the guest received, 'out': what it sent. Resolves when tcpdump listens. The kernel's buffer has places of `snaplen` bytes: where all frames are small, a
   * small one makes room for more of them.
   */
  static async start(
    bed: Testbed,
    guest: Guest,
    link: string,
    options: { filter?: string; direction?: 'in' | 'out' | 'inout'; snaplen?: number } = {},
  ): Promise<Capture> {
    const path = bed.path(`capture${captures++}-${link}.pcap`)
    // A large buffer, so that a burst of super-frames is not lost for want of a schedule on two cores; immediate mode, since what
    // still waits in an unfinished block when tcpdump is stopped is not written.
    const argv = [
      'tcpdump',
      '-i',
      link,
      '-n',
      '-U',
      '--immediate-mode',
      '-s',
      String(options.snaplen ?? 262_144),
      '-B',
      '65536',
      '-Z',
      'root',
      '-w',
      path,
    ]
    argv.push('-Q', options.direction ?? 'inout')
    if (options.filter) argv.push(options.filter)
    const tcpdump = guest.start(argv)
    await tcpdump.until(/listening on/)
    return new Capture(path, tcpdump)
  }

  /** What tcpdump has done so far: asks it (SIGUSR1) and waits for the answer. */
  async #progress(): Promise<{ captured: number; received: number }> {
    const seen = this.#tcpdump.stderr.length
    this.#tcpdump.child.kill('SIGUSR1')
    const line = await this.#tcpdump.until(
      new RegExp(`^[^]{${seen},}?(\\d+) packets? captured, (\\d+) packets? received`),
    )
    return { captured: Number(line[1]), received: Number(line[2]) }
  }

  /** Resolves when `count` frames are captured; rejects after `timeout` ms. */
  async until(count: number, timeout = 5000): Promise<void> {
    const deadline = Date.now() + timeout
    for (;;) {
      const { captured } = await this.#progress()
      if (captured >= count) return
      if (Date.now() > deadline)
        throw new Error(`${this.path}: ${captured} frames within ${timeout} ms, ${count} expected`)
      await delay(10)
    }
  }

  /**
   * Waits until tcpdump has all that the link has seen, stops it and reads. Throws when the kernel dropped frames before tcpdump saw them: such a
   * capture proves nothing.
   */
  async stop(): Promise<CapturedFrame[]> {
    let before = { captured: -1, received: -1 }
    for (;;) {
      const now = await this.#progress()
      // Where a direction is asked for, libpcap receives more than it captures.
      if (now.received === before.received && now.captured === before.captured) break
      before = now
      await delay(20)
    }
    const { stderr } = await this.#tcpdump.stop('SIGINT')
    const dropped = Number(stderr.match(/^(\d+) packets? dropped by kernel/m)?.[1] ?? 0)
    if (dropped > 0) throw new Error(`${this.path}: ${dropped} frames dropped before they were captured`)
    return readPcap(this.path)
  }
}
