/** Payloads of rtnetlink messages, byte by byte, as linux/rtnetlink.h, fib_rules.h, nexthop.h and neighbour.h lay them out. */

export const attribute = (type: number, value: Uint8Array | readonly number[]): Buffer => {
  const header = Buffer.alloc(4)
  header.writeUInt16LE(4 + value.length, 0)
  header.writeUInt16LE(type, 2)
  return Buffer.concat([header, Buffer.from(value), Buffer.alloc(-value.length & 3)])
}

export const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4)
  out.writeUInt32LE(value >>> 0)
  return out
}

const familyOf = (address: readonly number[]): number => (address.length === 4 ? 2 : 10)

export interface HopFacts {
  oif: number
  via?: readonly number[]
  weight?: number
  flags?: number
}

export interface RouteFacts {
  dst: readonly number[]
  length: number
  table?: number
  tos?: number
  type?: number
  scope?: number
  protocol?: number
  priority?: number
  prefsrc?: readonly number[]
  nexthopId?: number
  hops?: readonly HopFacts[]
  more?: readonly Buffer[]
}

/** struct rtmsg and attributes; several hops become RTA_MULTIPATH. */
export const routePayload = (facts: RouteFacts): Buffer => {
  const { dst, length, table = 254, tos = 0, type = 1, scope = 0, protocol = 3, hops = [] } = facts
  const parts: Buffer[] = [Buffer.from([familyOf(dst), length, 0, tos, table & 255, protocol, scope, type, 0, 0, 0, 0])]
  parts.push(attribute(15, u32(table)))
  if (length > 0) parts.push(attribute(1, dst))
  if (facts.priority !== undefined) parts.push(attribute(6, u32(facts.priority)))
  if (facts.prefsrc) parts.push(attribute(7, facts.prefsrc))
  if (facts.nexthopId !== undefined) parts.push(attribute(30, u32(facts.nexthopId)))
  const [only] = hops
  if (hops.length === 1 && only) {
    parts[0]![8] = only.flags ?? 0
    parts.push(attribute(4, u32(only.oif)))
    if (only.via) parts.push(attribute(5, only.via))
  } else if (hops.length > 1) {
    const set = hops.map(({ oif, via, weight = 1, flags = 0 }) => {
      const inner = via ? attribute(5, via) : Buffer.alloc(0)
      const header = Buffer.from([0, 0, flags, weight - 1, 0, 0, 0, 0])
      header.writeUInt16LE(8 + inner.length, 0)
      header.writeInt32LE(oif, 4)
      return Buffer.concat([header, inner])
    })
    parts.push(attribute(9, Buffer.concat(set)))
  }
  return Buffer.concat([...parts, ...(facts.more ?? [])])
}

/** struct fib_rule_hdr: actions 1 table, 2 goto, 3 nop, 6 blackhole, 7 unreachable, 8 prohibit. */
export const rulePayload = (
  family: 4 | 6,
  header: { tos?: number; action?: number; flags?: number; table?: number; srcLength?: number; dstLength?: number },
  attributes: readonly Buffer[],
): Buffer => {
  const { tos = 0, action = 1, flags = 0, table = 254, srcLength = 0, dstLength = 0 } = header
  const fixed = Buffer.from([family === 4 ? 2 : 10, dstLength, srcLength, tos, table, 0, 0, action, 0, 0, 0, 0])
  fixed.writeUInt32LE(flags, 8)
  return Buffer.concat([fixed, ...attributes])
}

/** struct ifaddrmsg. */
export const addressPayload = (
  ifindex: number,
  bytes: readonly number[],
  prefixLength: number,
  flags = 0,
  scope = 0,
): Buffer => {
  const fixed = Buffer.from([familyOf(bytes), prefixLength, flags & 255, scope, 0, 0, 0, 0])
  fixed.writeUInt32LE(ifindex, 4)
  return Buffer.concat([fixed, attribute(1, bytes), attribute(2, bytes), attribute(8, u32(flags))])
}

/** struct nhmsg. */
export const nexthopPayload = (attributes: readonly Buffer[], flags = 0): Buffer => {
  const fixed = Buffer.from([2, 0, 0, 0, 0, 0, 0, 0])
  fixed.writeUInt32LE(flags, 4)
  return Buffer.concat([fixed, ...attributes])
}

/** struct ndmsg. */
export const neighbourPayload = (
  facts: { family?: number; ifindex?: number; state?: number; flags?: number },
  attributes: readonly Buffer[],
): Buffer => {
  const { family = 2, ifindex = 2, state = 2, flags = 0 } = facts
  const fixed = Buffer.from([family, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags, 1])
  fixed.writeInt32LE(ifindex, 4)
  fixed.writeUInt16LE(state, 8)
  return Buffer.concat([fixed, ...attributes])
}

export const messageOf = (type: number, data: Buffer) => ({ type, flags: 0, seq: 0, port: 0, data })
