/** `ping` and its answer as numbers. */
import type { Guest } from './testbed.ts'

export interface PingResult {
  readonly received: number
  /** Percent of the requests up to the last one answered; 100 when none was. */
  readonly loss: number
  /** Answers that came more than once: a frame was duplicated. */
  readonly duplicates: number
  /** Milliseconds; undefined when nothing came back. */
  readonly rtt: { readonly min: number; readonly avg: number; readonly max: number } | undefined
  readonly text: string
}

/**
 * Parses what iputils' ping prints. Its own percentage is not used: it gives up on the last requests after twice the longest round trip so
 * far, and counts them as lost where the machine was merely busy. Throws when it is no output of ping.
 */
export const parsePing = (text: string): PingResult => {
  if (!/\d+ packets transmitted/.test(text)) throw new Error(`no summary of ping: ${text}`)
  const answers = [...text.matchAll(/icmp_seq=(\d+).*time=/g)].map((match) => Number(match[1]))
  const distinct = new Set(answers)
  const last = Math.max(0, ...answers)
  const rtt = text.match(/= ([\d.]+)\/([\d.]+)\/([\d.]+)/)
  return {
    received: distinct.size,
    duplicates: answers.length - distinct.size,
    loss: last === 0 ? 100 : (1 - distinct.size / last) * 100,
    rtt: rtt ? { min: Number(rtt[1]), avg: Number(rtt[2]), max: Number(rtt[3]) } : undefined,
    text,
  }
}

export interface PingOptions {
  readonly count?: number
  /** Seconds between requests; 0.05 unless told. */
  readonly interval?: number
  /** Seconds to wait beyond the sending for the last answers. */
  readonly wait?: number
  /** Payload bytes. */
  readonly size?: number
  /** 'do' where true, 'dont' where false (iputils' `-M`). */
  readonly dontFragment?: boolean
  /** Exactly `count` requests, whatever becomes of them: for tests that count frames. */
  readonly exact?: boolean
}

/** Sends until `count` answers are there, or until nobody has answered for long enough: while one is late, more than `count` requests. */
export const ping = async (from: Guest, to: string, options: PingOptions = {}): Promise<PingResult> => {
  const { count = 5, interval = 0.05, wait = 2 } = options
  const args = ['-n', '-c', count, '-i', interval]
  args.push(...(options.exact ? ['-W', wait] : ['-w', Math.ceil(count * interval + wait)]))
  if (options.size !== undefined) args.push('-s', options.size)
  if (options.dontFragment !== undefined) args.push('-M', options.dontFragment ? 'do' : 'dont')
  const result = await from.run(['ping', ...args.map(String), to], { timeout: (count * interval + wait + 10) * 1000 })
  return parsePing(result.stdout + result.stderr)
}
