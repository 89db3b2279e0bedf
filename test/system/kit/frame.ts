/** Where things are in a frame, as the tests read it: Ethernet II, up to two VLAN tags, IPv4, IPv6 with extension headers, TCP and UDP. */

export interface Layout {
  /** VLAN ids, outer first. */
  readonly vlans: readonly number[]
  readonly etherType: number
  /** Offset of the IP header; -1 when there is none whole. */
  readonly ip: number
  readonly version: 4 | 6 | 0
  /** Offset of the end of the IP packet (frames may be padded). */
  readonly end: number
  /** Offset of the transport header; -1 for later fragments and cut-off headers. */
  readonly l4: number
  readonly protocol: number
  readonly fragment: boolean
  /** Offset of the TCP or UDP payload; -1 when it is neither. */
  readonly payload: number
}

export const u16 = (b: Uint8Array, off: number): number => (b[off]! << 8) | b[off + 1]!
export const u32 = (b: Uint8Array, off: number): number => (u16(b, off) * 0x10000 + u16(b, off + 2)) >>> 0
export const put16 = (b: Uint8Array, off: number, value: number): void => {
  b[off] = (value >>> 8) & 0xff
  b[off + 1] = value & 0xff
}
export const put32 = (b: Uint8Array, off: number, value: number): void => {
  put16(b, off, value >>> 16)
  put16(b, off + 2, value & 0xffff)
}

export const TCP = 6
export const UDP = 17

const VLAN_TYPES = new Set([0x8100, 0x88a8])
const EXTENSIONS = new Set([0, 43, 60, 135])

const none = { ip: -1, version: 0, end: 0, l4: -1, protocol: -1, fragment: false, payload: -1 } as const

const payloadOf = (b: Uint8Array, l4: number, end: number, protocol: number): number => {
  if (protocol === UDP) return l4 + 8 <= end ? l4 + 8 : -1
  if (protocol !== TCP || l4 + 20 > end) return -1
  const header = (b[l4 + 12]! >>> 4) * 4
  return header >= 20 && l4 + header <= end ? l4 + header : -1
}

const ipv4 = (b: Uint8Array, ip: number): Omit<Layout, 'vlans' | 'etherType'> => {
  const header = (b[ip]! & 15) * 4
  const end = ip + u16(b, ip + 2)
  if (ip + 20 > b.length || b[ip]! >>> 4 !== 4 || header < 20 || end > b.length || ip + header > end) return none
  const fragments = u16(b, ip + 6) & 0x3fff
  const protocol = b[ip + 9]!
  const l4 = (fragments & 0x1fff) === 0 ? ip + header : -1
  const payload = l4 >= 0 ? payloadOf(b, l4, end, protocol) : -1
  return { ip, version: 4, end, l4, protocol, fragment: fragments !== 0, payload }
}

const ipv6 = (b: Uint8Array, ip: number): Omit<Layout, 'vlans' | 'etherType'> => {
  if (ip + 40 > b.length || b[ip]! >>> 4 !== 6) return none
  const end = ip + 40 + u16(b, ip + 4)
  if (end > b.length) return none
  let protocol = b[ip + 6]!
  let l4 = ip + 40
  let fragment = false
  while ((EXTENSIONS.has(protocol) || protocol === 44) && l4 + 8 <= end) {
    if (protocol === 44) {
      fragment = true
      if ((u16(b, l4 + 2) & 0xfff8) !== 0)
        return { ip, version: 6, end, l4: -1, protocol: b[l4]!, fragment, payload: -1 }
    }
    const length = protocol === 44 ? 8 : (b[l4 + 1]! + 1) * 8
    protocol = b[l4]!
    l4 += length
  }
  return { ip, version: 6, end, l4, protocol, fragment, payload: payloadOf(b, l4, end, protocol) }
}

/** Never throws: what is cut off or contradictory is simply not there. */
export const layoutOf = (b: Uint8Array): Layout => {
  const vlans: number[] = []
  let off = 12
  while (vlans.length < 2 && off + 4 <= b.length && VLAN_TYPES.has(u16(b, off))) {
    vlans.push(u16(b, off + 2) & 0xfff)
    off += 4
  }
  const etherType = off + 2 <= b.length ? u16(b, off) : -1
  const ip = off + 2
  const part = etherType === 0x0800 ? ipv4(b, ip) : etherType === 0x86dd ? ipv6(b, ip) : none
  return { vlans, etherType, ...part }
}

const hex = (b: Uint8Array, from: number, to: number): string => Buffer.from(b.subarray(from, to)).toString('hex')

/**
 * Names the flow that a frame belongs to: frames of one flow must keep their order. Frames without IP are one flow a pair of addresses and type; those of a wrong version, at which
 * the switch does not look, are flows of their own.
 */
export const flowOf = (b: Uint8Array, at: Layout = layoutOf(b)): string => {
  const ether = `${hex(b, 6, 12)}>${hex(b, 0, 6)} vlan ${at.vlans.join('.') || 'none'} type ${at.etherType.toString(16)}`
  if (at.version === 0) {
    const version = (b[14 + 4 * at.vlans.length] ?? 0) >> 4
    return at.etherType === 0x0800 && version !== 4 ? `${ether} version ${version}` : ether
  }
  const addresses = at.version === 4 ? hex(b, at.ip + 12, at.ip + 20) : hex(b, at.ip + 8, at.ip + 40)
  const flow = `${ether} ip ${addresses} proto ${at.protocol}`
  if (at.fragment) return `${flow} fragments`
  return at.payload >= 0 ? `${flow} ports ${u16(b, at.l4)}>${u16(b, at.l4 + 2)}` : flow
}
