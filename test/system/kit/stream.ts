/** A paced stream of numbered UDP packets both ways between two guests (lab/paced.py), and what was lost of it. */
import { fileURLToPath } from 'node:url'
import type { Running } from './process.ts'
import type { Guest } from './testbed.ts'

const PACED = fileURLToPath(new URL('../../../lab/paced.py', import.meta.url))

export interface StreamEnd {
  /** By this end. */
  readonly sent: number
  /** Seconds of sending. */
  readonly elapsed: number
  /** Of the other end's packets. */
  readonly received: number
  readonly lost: number
  readonly duplicates: number
  readonly reordered: number
  /** Longest time without a packet, in ms. */
  readonly longest_ms: number
  /** The first ones lost: number, how many in a row, Unix time in seconds. */
  readonly gaps: readonly (readonly [number, number, number])[]
  /** The other end told how many it had sent. */
  readonly ended: boolean
}

export class Stream {
  readonly #ends: readonly Running[]

  private constructor(ends: readonly Running[]) {
    this.#ends = ends
  }

  /** Resolves when both ends hear each other; packets are counted from then on. */
  static async start(
    a: Guest,
    addressA: string,
    b: Guest,
    addressB: string,
    { rate = 5000, port = 7000 } = {},
  ): Promise<Stream> {
    const end = (guest: Guest, own: string, peer: string): Running =>
      guest.start(['/usr/bin/python3', PACED, own, peer, String(port), String(rate)])
    const ends = [end(a, addressA, addressB), end(b, addressB, addressA)]
    await Promise.all(ends.map((one) => one.until(/^running$/m, 25_000)))
    return new Stream(ends)
  }

  /** Ends it; [what a saw of b's, what b saw of a's]. */
  async stop(): Promise<readonly [StreamEnd, StreamEnd]> {
    for (const end of this.#ends) end.child.kill('SIGTERM')
    const reports = await Promise.all(
      this.#ends.map(async (end) => {
        const { stdout, stderr } = await end.exited
        const report = stdout.trim().split('\n').at(-1) ?? ''
        if (!report.startsWith('{')) throw new Error(`no report of a stream's end: ${stdout}${stderr}`)
        return JSON.parse(report) as StreamEnd
      }),
    )
    return [reports[0]!, reports[1]!]
  }
}

/** For an expectation: nothing lost, nothing twice, and the count is known to be whole. */
export const WHOLE = { lost: 0, duplicates: 0, ended: true } as const
