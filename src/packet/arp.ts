/**
 * ARP and RARP for IPv4 over Ethernet, RFC 826 and RFC 903.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |  Hardware type (Ethernet: 1)  |     Protocol type (0x0800)    |
 *     +---------------+---------------+-------------------------------+
 *     |  HW length 6  |  Proto len 4  |           Operation           |
 *     +---------------+---------------+-------------------------------+
 *     |                 Sender hardware address (6)                   |
 *     |                               +-------------------------------+
 *     |                               |  Sender protocol address (4)  |
 *     +-------------------------------+-------------------------------+
 *     |                               |  Target hardware address (6)  |
 *     +-------------------------------+                               |
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *     |                  Target protocol address (4)                  |
 *     +---------------------------------------------------------------+
 */
import { be16, be32, be48, put16, put32, put48 } from './bytes.ts'
import { ETH_TYPE_IPV4 } from './ethernet.ts'

export const ARP_LEN = 28
export const ARP_OP = 6
export const ARP_SHA = 8
export const ARP_SPA = 14
export const ARP_THA = 18
export const ARP_TPA = 24

export const ARP_REQUEST = 1
export const ARP_REPLY = 2

/** True if a whole ARP packet for IPv4 over Ethernet lies between `off` and `end`. */
export const arpCheck = (b: Uint8Array, off: number, end: number): boolean =>
  end - off >= ARP_LEN && be32(b, off) === ((1 << 16) | ETH_TYPE_IPV4) && be16(b, off + 4) === 0x0604

/** MAC addresses as numbers below 2^48, IPv4 addresses as unsigned 32-bit numbers. */
export interface Arp {
  readonly op: number
  readonly sha: number
  readonly spa: number
  readonly tha: number
  readonly tpa: number
}

export const parseArp = (b: Uint8Array, off = 0): Arp | undefined =>
  arpCheck(b, off, b.length)
    ? {
        op: be16(b, off + ARP_OP),
        sha: be48(b, off + ARP_SHA),
        spa: be32(b, off + ARP_SPA) >>> 0,
        tha: be48(b, off + ARP_THA),
        tpa: be32(b, off + ARP_TPA) >>> 0,
      }
    : undefined

export const emitArp = (b: Uint8Array, off: number, arp: Arp): void => {
  put32(b, off, (1 << 16) | ETH_TYPE_IPV4)
  put16(b, off + 4, 0x0604)
  put16(b, off + ARP_OP, arp.op)
  put48(b, off + ARP_SHA, arp.sha)
  put32(b, off + ARP_SPA, arp.spa)
  put48(b, off + ARP_THA, arp.tha)
  put32(b, off + ARP_TPA, arp.tpa)
}
