/**
 * TCP, RFC 9293 section 3.1.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |          Source port          |       Destination port        |
 *     +-------------------------------+-------------------------------+
 *     |                        Sequence number                        |
 *     +---------------------------------------------------------------+
 *     |                     Acknowledgement number                    |
 *     +-------+-----------------------+-------------------------------+
 *     |Offset |  12 bits of flags     |            Window             |
 *     +-------+-----------------------+-------------------------------+
 *     |            Checksum           |         Urgent pointer        |
 *     +-------------------------------+-------------------------------+
 */
import { be16, be32, put16, put32 } from './bytes.ts'

export const TCP_HLEN = 20
export const TCP_SRC = 0
export const TCP_DST = 2
export const TCP_SEQ = 4
export const TCP_ACK_NO = 8
export const TCP_CTL = 12
export const TCP_WINDOW = 14
export const TCP_CSUM = 16
export const TCP_URGENT = 18

export const TCP_FIN = 0x01
export const TCP_SYN = 0x02
export const TCP_RST = 0x04
export const TCP_PSH = 0x08
export const TCP_ACK = 0x10
export const TCP_URG = 0x20
export const TCP_ECE = 0x40
export const TCP_CWR = 0x80
export const TCP_NS = 0x100

/** All 12 bits beside the data offset, reserved ones included. */
export const tcpFlags = (b: Uint8Array, off: number): number => be16(b, off + TCP_CTL) & 0xfff
export const tcpHeaderLength = (b: Uint8Array, off: number): number => (b[off + TCP_CTL]! >> 4) << 2

/**
 * Length of the header at `off` with its options, or -1 when it does not lie whole before `end` or announces less
 * than 20 bytes.
 */
export const tcpCheck = (b: Uint8Array, off: number, end: number): number => {
  if (end - off < TCP_HLEN) return -1
  const header = tcpHeaderLength(b, off)
  return header < TCP_HLEN || end - off < header ? -1 : header
}

export interface Tcp {
  readonly src: number
  readonly dst: number
  readonly seq: number
  readonly ack: number
  readonly flags: number
  readonly window: number
  readonly checksum: number
  readonly urgent: number
  readonly options: Uint8Array
}

export const parseTcp = (b: Uint8Array, off = 0): Tcp | undefined => {
  const header = tcpCheck(b, off, b.length)
  if (header < 0) return undefined
  return {
    src: be16(b, off + TCP_SRC),
    dst: be16(b, off + TCP_DST),
    seq: be32(b, off + TCP_SEQ) >>> 0,
    ack: be32(b, off + TCP_ACK_NO) >>> 0,
    flags: tcpFlags(b, off),
    window: be16(b, off + TCP_WINDOW),
    checksum: be16(b, off + TCP_CSUM),
    urgent: be16(b, off + TCP_URGENT),
    options: b.slice(off + TCP_HLEN, off + header),
  }
}

/** Writes the header, the checksum as given; returns its length. Options must be a multiple of 4 bytes, at most 40. */
export const emitTcp = (b: Uint8Array, off: number, tcp: Tcp): number => {
  const { options } = tcp
  if (options.length % 4 !== 0 || options.length > 40) {
    throw new RangeError(`TCP options of ${options.length} bytes: a multiple of 4, at most 40, expected`)
  }
  const header = TCP_HLEN + options.length
  put16(b, off + TCP_SRC, tcp.src)
  put16(b, off + TCP_DST, tcp.dst)
  put32(b, off + TCP_SEQ, tcp.seq)
  put32(b, off + TCP_ACK_NO, tcp.ack)
  put16(b, off + TCP_CTL, (header << 10) | tcp.flags)
  put16(b, off + TCP_WINDOW, tcp.window)
  put16(b, off + TCP_CSUM, tcp.checksum)
  put16(b, off + TCP_URGENT, tcp.urgent)
  b.set(options, off + TCP_HLEN)
  return header
}
