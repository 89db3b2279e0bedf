/**
 * UDP, RFC 768.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |          Source port          |       Destination port        |
 *     +-------------------------------+-------------------------------+
 *     |             Length            |   Checksum (0: none, IPv4)    |
 *     +-------------------------------+-------------------------------+
 */
import { be16, put16 } from './bytes.ts'

export const UDP_HLEN = 8
export const UDP_SRC = 0
export const UDP_DST = 2
export const UDP_LEN = 4
export const UDP_CSUM = 6

export interface Udp {
  readonly src: number
  readonly dst: number
  /** Header and payload. */
  readonly length: number
  readonly checksum: number
}

/** Undefined when the header is cut short. The length field is reported as it is, not judged. */
export const parseUdp = (b: Uint8Array, off = 0): Udp | undefined =>
  b.length - off < UDP_HLEN
    ? undefined
    : {
        src: be16(b, off + UDP_SRC),
        dst: be16(b, off + UDP_DST),
        length: be16(b, off + UDP_LEN),
        checksum: be16(b, off + UDP_CSUM),
      }

export const emitUdp = (b: Uint8Array, off: number, udp: Udp): void => {
  put16(b, off + UDP_SRC, udp.src)
  put16(b, off + UDP_DST, udp.dst)
  put16(b, off + UDP_LEN, udp.length)
  put16(b, off + UDP_CSUM, udp.checksum)
}
