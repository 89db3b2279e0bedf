/** `ping` and its answer as numbers. */
import type { Guest } from './testbed.ts'

export interface PingResult {
  readonly sent: number
  readonly received: number
  /** Percent. */
  readonly loss: number
  /** Answers that came more than once: a frame was duplicated. */
  readonly duplicates: number
  /** Milliseconds; undefined when nothing came back. */
  readonly rtt: { readonly min: number; readonly avg: number; readonly max: number } | undefined
  readonly text: string
}

/** Parses what iputils' ping prints. Throws when it is no summary. */
export const parsePing = (text: string): PingResult => {
  const counts = text.match(/(\d+) packets transmitted, (\d+) (?:packets )?received(?:, \+(\d+) duplicates)?/)
  const loss = text.match(/([\d.]+)% packet loss/)
  if (!counts || !loss) throw new Error(`no summary of ping: ${text}`)
  const rtt = text.match(/= ([\d.]+)\/([\d.]+)\/([\d.]+)/)
  return {
    sent: Number(counts[1]),
    received: Number(counts[2]),
    duplicates: Number(counts[3] ?? 0),
    loss: Number(loss[1]),
    rtt: rtt ? { min: Number(rtt[1]), avg: Number(rtt[2]), max: Number(rtt[3]) } : undefined,
    text,
  }
}

export interface PingOptions {
  readonly count?: number
  /** Seconds between requests; 0.05 unless told. */
  readonly interval?: number
  /** Seconds to wait for an answer. */
  readonly wait?: number
  /** Payload bytes. */
  readonly size?: number
  readonly dontFragment?: boolean
}

export const ping = async (from: Guest, to: string, options: PingOptions = {}): Promise<PingResult> => {
  const args = ['-n', '-c', options.count ?? 5, '-i', options.interval ?? 0.05, '-W', options.wait ?? 2]
  if (options.size !== undefined) args.push('-s', options.size)
  if (options.dontFragment) args.push('-M', 'do')
  const result = await from.run(['ping', ...args.map(String), to])
  return parsePing(result.stdout + result.stderr)
}
