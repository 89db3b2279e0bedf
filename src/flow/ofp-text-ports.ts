/** Port numbers and names in ovs-ofctl's syntax: `3`, `LOCAL`, `eth0` or `"eth0"`. Control path only. */
import * as P from './ofp.ts'

/** How the caller's bridge names its ports. Without these, only numbers and reserved names are known. */
export interface PortNames {
  readonly portByName?: (name: string) => number | undefined
  readonly portName?: (port: number) => string | undefined
}

const RESERVED: ReadonlyMap<number, string> = new Map([
  [P.OFPP_IN_PORT, 'IN_PORT'],
  [P.OFPP_TABLE, 'TABLE'],
  [P.OFPP_NORMAL, 'NORMAL'],
  [P.OFPP_FLOOD, 'FLOOD'],
  [P.OFPP_ALL, 'ALL'],
  [P.OFPP_CONTROLLER, 'CONTROLLER'],
  [P.OFPP_LOCAL, 'LOCAL'],
  [P.OFPP_NONE, 'ANY'],
])

export const RESERVED_NAMES: ReadonlyMap<string, number> = new Map([
  ...[...RESERVED].map(([port, name]) => [name, port] as const),
  ['NONE', P.OFPP_NONE],
])

/** OpenFlow 1.1 and later number the reserved ports from here; the low 16 bits are those of OpenFlow 1.0. */
const OFPP11_RESERVED = 0xffffff00n

/** undefined: no such port. */
export const parsePort = (text: string, names: PortNames): number | undefined => {
  const number = /^\d{1,10}$/.test(text) ? BigInt(text) : undefined
  if (number !== undefined) {
    if (number < BigInt(P.OFPP_MAX)) return Number(number)
    const low = number >= OFPP11_RESERVED && number <= 0xffffffffn ? Number(number & 0xffffn) : Number(number)
    return RESERVED.has(low) ? low : undefined
  }
  const name = /^"(.*)"$/.exec(text)?.[1]
  if (name !== undefined) return names.portByName?.(name)
  return names.portByName?.(text) ?? RESERVED_NAMES.get(text.toUpperCase())
}

export const formatPort = (port: number, names: PortNames): string => {
  const reserved = RESERVED.get(port)
  if (reserved !== undefined) return reserved
  const name = names.portName?.(port)
  if (name === undefined) return String(port)
  return /^[A-Za-z][A-Za-z0-9_.-]*$/.test(name) && !RESERVED_NAMES.has(name.toUpperCase()) ? name : `"${name}"`
}
