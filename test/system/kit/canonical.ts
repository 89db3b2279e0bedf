/**
 * The canonical form of captured traffic: what would be on a wire. Captures on a guest's TAP show super-frames and checksums that are still to be
 * completed; two captures of the same traffic are equal when their canonical forms are.
 *
 * Super-frames (TCP over IPv4 and IPv6; UDP where a segment size is given) are cut as RFC 9293 endpoints and the kernel's GSO would: payload in pieces of
 * the segment size, sequence numbers and IPv4 ids counting up, FIN and PSH on the last piece, CWR on the first, every checksum complete. The segment size is
 * the peer's MSS option less the TCP options of the frame itself, learned from the capture. A partial checksum (the field holds the pseudo-header's sum) is
 * completed. Frames that are already as on a wire are left as they are, wrong checksums included.
 */
import { pseudoSum, sum16 } from './checksum.ts'
import { flowOf, type Layout, layoutOf, put16, put32, TCP, UDP, u16, u32 } from './frame.ts'

export interface CanonicalOptions {
  /** Largest TCP payload with its options, by flow, where the capture holds no SYN: the link's MTU less 40 or 60 bytes. */
  readonly mtu?: number
  /** Size of UDP pieces when a program used UDP_SEGMENT; without it UDP is never cut. */
  readonly udpSegment?: number
  /** 'ignore': IPv4 ids are set to 0; for traffic that was cut by parties that count ids differently. */
  readonly ipId?: 'keep' | 'ignore'
}

const checksumField = (at: Layout): number => at.l4 + (at.protocol === TCP ? 16 : 6)

const pseudo = (b: Uint8Array, at: Layout): number =>
  at.version === 4
    ? pseudoSum(b, at.ip + 12, 4, at.protocol, at.end - at.l4)
    : pseudoSum(b, at.ip + 8, 16, at.protocol, at.end - at.l4)

const complete = (b: Uint8Array, at: Layout): void => {
  const field = checksumField(at)
  put16(b, field, 0)
  const sum = ~sum16(b, at.l4, at.end - at.l4, pseudo(b, at)) & 0xffff
  // RFC 768: zero means that there is none.
  put16(b, field, sum === 0 && at.protocol === UDP ? 0xffff : sum)
}

export type ChecksumState = 'right' | 'partial' | 'wrong' | 'none'

/** State of the TCP or UDP checksum. 'none': no such header, a fragment, or UDP without one. */
export const checksumState = (b: Uint8Array, at: Layout = layoutOf(b)): ChecksumState => {
  if (at.payload < 0 || at.fragment) return 'none'
  const value = u16(b, checksumField(at))
  if (at.protocol === UDP && value === 0) return 'none'
  if (sum16(b, at.l4, at.end - at.l4, pseudo(b, at)) === 0xffff) return 'right'
  return value === pseudo(b, at) ? 'partial' : 'wrong'
}

const ipv4ChecksumRight = (b: Uint8Array, ip: number): boolean => sum16(b, ip, (b[ip]! & 15) * 4) === 0xffff

const completeIpv4 = (b: Uint8Array, ip: number): void => {
  put16(b, ip + 10, 0)
  put16(b, ip + 10, ~sum16(b, ip, (b[ip]! & 15) * 4) & 0xffff)
}

const FIN = 1
const SYN = 2
const PSH = 8
const CWR = 0x80

/** MSS option of a SYN, or undefined. RFC 9293 section 3.2. */
const mssOption = (b: Uint8Array, at: Layout): number | undefined => {
  let off = at.l4 + 20
  while (off < at.payload && b[off] !== 0) {
    if (b[off] === 1) {
      off++
      continue
    }
    const length = off + 1 < at.payload ? b[off + 1]! : 0
    if (length < 2 || off + length > at.payload) return undefined
    if (b[off] === 2 && length === 4) return u16(b, off + 2)
    off += length
  }
  return undefined
}

/** Addresses and ports of a TCP frame, by direction: [as sent, as answered]. */
const ends = (b: Uint8Array, at: Layout): [string, string] => {
  const bytes = at.version === 4 ? 4 : 16
  const start = at.version === 4 ? at.ip + 12 : at.ip + 8
  const side = (address: number, port: number): string =>
    `${Buffer.from(b.subarray(address, address + bytes)).toString('hex')}:${u16(b, port)}`
  const from = side(start, at.l4)
  const to = side(start + bytes, at.l4 + 2)
  return [`${from}>${to}`, `${to}>${from}`]
}

/** Learns from the SYNs: what may be sent in each direction, per connection. */
const learnMss = (frames: readonly Uint8Array[]): Map<string, number> => {
  const limits = new Map<string, number>()
  for (const b of frames) {
    const at = layoutOf(b)
    if (at.protocol !== TCP || at.payload < 0 || (b[at.l4 + 13]! & SYN) === 0) continue
    const mss = mssOption(b, at)
    if (mss !== undefined) limits.set(ends(b, at)[1], mss)
  }
  return limits
}

const setLength = (b: Uint8Array, at: Layout, end: number): void => {
  if (at.version === 4) put16(b, at.ip + 2, end - at.ip)
  else put16(b, at.ip + 4, end - at.ip - 40)
  if (at.protocol === UDP) put16(b, at.l4 + 4, end - at.l4)
}

/** Cuts the frame's payload into pieces of `size` bytes, each a complete frame. */
export const cut = (b: Uint8Array, size: number): Uint8Array[] => {
  const at = layoutOf(b)
  const pieces: Uint8Array[] = []
  const headers = at.payload
  const total = at.end - at.payload
  for (let done = 0, n = 0; done < total; done += size, n++) {
    const length = Math.min(size, total - done)
    const last = done + length === total
    const piece = new Uint8Array(headers + length)
    piece.set(b.subarray(0, headers))
    piece.set(b.subarray(headers + done, headers + done + length), headers)
    setLength(piece, at, headers + length)
    if (at.protocol === TCP) {
      put32(piece, at.l4 + 4, (u32(b, at.l4 + 4) + done) >>> 0)
      const flags = b[at.l4 + 13]!
      piece[at.l4 + 13] = flags & ~(last ? 0 : FIN | PSH) & ~(n === 0 ? 0 : CWR)
    }
    if (at.version === 4) {
      put16(piece, at.ip + 4, (u16(b, at.ip + 4) + n) & 0xffff)
      completeIpv4(piece, at.ip)
    }
    complete(piece, layoutOf(piece))
    pieces.push(piece)
  }
  return pieces
}

const segmentSize = (b: Uint8Array, at: Layout, mss: Map<string, number>, options: CanonicalOptions): number => {
  if (at.payload < 0 || at.fragment) return 0
  if (at.protocol === UDP) return options.udpSegment ?? 0
  const headers = at.payload - at.ip
  const byMtu = options.mtu === undefined ? 0 : options.mtu - headers
  const learned = mss.get(ends(b, at)[0])
  if (learned === undefined) return byMtu
  const byMss = learned - (at.payload - at.l4 - 20)
  return byMtu > 0 ? Math.min(byMss, byMtu) : byMss
}

const finish = (frame: Uint8Array, options: CanonicalOptions): Uint8Array => {
  const at = layoutOf(frame)
  if (checksumState(frame, at) === 'partial') complete(frame, at)
  if (options.ipId === 'ignore' && at.version === 4 && ipv4ChecksumRight(frame, at.ip)) {
    put16(frame, at.ip + 4, 0)
    completeIpv4(frame, at.ip)
  }
  return frame
}

/** The frames as on a wire, in order. The input is left unchanged. */
export const canonical = (frames: readonly Uint8Array[], options: CanonicalOptions = {}): Uint8Array[] => {
  const mss = learnMss(frames)
  return frames.flatMap((b) => {
    const at = layoutOf(b)
    const size = segmentSize(b, at, mss, options)
    // A checksum that is wrong in whole must not become right in pieces.
    const pieces =
      size > 0 && at.end - at.payload > size && checksumState(b, at) !== 'wrong' ? cut(b, size) : [b.slice()]
    return pieces.map((piece) => finish(piece, options))
  })
}

/** The flows of a capture: for each its frames in order. */
export const byFlow = (frames: readonly Uint8Array[]): Map<string, Uint8Array[]> => {
  const flows = new Map<string, Uint8Array[]>()
  for (const frame of frames) {
    const flow = flowOf(frame)
    const list = flows.get(flow)
    if (list) list.push(frame)
    else flows.set(flow, [frame])
  }
  return flows
}
