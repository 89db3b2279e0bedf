/** `iperf3` between two guests, by its JSON report. */
import type { Guest } from './testbed.ts'

export interface IperfOptions {
  /** Seconds; 2 unless told. */
  readonly seconds?: number
  /**
   * Bytes to send instead of a time, as iperf3 takes them ('10M'). The receiver ends its count when the sender has handed over its last byte, so that what is
   * still in the sockets' buffers (COUNTED_SHORT at most) is missing from the result.
   */
  readonly bytes?: string
  readonly udp?: boolean
  /** Bits per second as iperf3 takes them ('50M'); UDP only. */
  readonly rate?: string
  /** UDP payload, or TCP write size. */
  readonly length?: number
  readonly streams?: number
  readonly reverse?: boolean
  readonly port?: number
  /** TCP's congestion control; the machine's unless told. */
  readonly congestion?: string
}

/** With `bytes`, buffers do not grow beyond this on either side: with the kernel's own sizes, most of a few megabytes may lie there at the end. */
const WINDOW = 128 * 1024
/** Bytes that a transfer of `bytes` may be counted short: both buffers, of which the kernel makes twice what is asked for. */
export const COUNTED_SHORT = 4 * WINDOW

export interface IperfResult {
  /** Bits per second at the receiver. */
  readonly rate: number
  readonly bytes: number
  /** Of the sender; TCP. */
  readonly retransmits: number
  /** UDP datagrams. */
  readonly lost: number
  readonly packets: number
}

interface Sum {
  bits_per_second: number
  bytes: number
  retransmits?: number
  lost_packets?: number
  packets?: number
}

interface Report {
  error?: string
  end: { sum_sent?: Sum; sum_received?: Sum; sum?: Sum }
}

export const parseIperf = (text: string): IperfResult => {
  const report = JSON.parse(text) as Report
  if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`)
  const received = report.end.sum_received ?? report.end.sum
  if (!received) throw new Error(`iperf3: no sums in the report: ${text}`)
  const udp = report.end.sum
  return {
    rate: received.bits_per_second,
    bytes: received.bytes,
    retransmits: report.end.sum_sent?.retransmits ?? 0,
    lost: udp?.lost_packets ?? received.lost_packets ?? 0,
    packets: udp?.packets ?? received.packets ?? 0,
  }
}

/** Starts a server for one test in `server`, runs the client in `client` towards `address`. */
export const iperf = async (
  client: Guest,
  server: Guest,
  address: string,
  options: IperfOptions = {},
): Promise<IperfResult> => {
  const port = String(options.port ?? 5201)
  const daemon = server.start(['iperf3', '-s', '-1', '-p', port, '--forceflush'])
  await daemon.until(/Server listening/)
  const args = ['iperf3', '-c', address, '-p', port, '-J', '--connect-timeout', '5000']
  if (options.bytes !== undefined) args.push('-n', options.bytes, '-w', String(WINDOW))
  else args.push('-t', String(options.seconds ?? 2))
  if (options.udp) args.push('-u', '-b', options.rate ?? '20M')
  if (options.length !== undefined) args.push('-l', String(options.length))
  if (options.streams !== undefined) args.push('-P', String(options.streams))
  if (options.reverse) args.push('-R')
  if (options.congestion !== undefined) args.push('-C', options.congestion)
  const result = await client.run(args, { timeout: ((options.seconds ?? 10) + 20) * 1000 })
  await daemon.stop()
  return parseIperf(result.stdout)
}
