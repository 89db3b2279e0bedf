/**
 * Values as both text syntaxes write them: integers, Ethernet and IP addresses. Parsers return undefined for what is not such a value; no
 * parser trusts the length of what it is given. Control path only: values are bigints, most significant bit first on the wire.
 */

/** Decimal, 0x hexadecimal, or octal after a leading zero, as C's strtoull reads them. */
export const parseInteger = (text: string): bigint | undefined => {
  if (text.length > 60) return undefined
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return BigInt(text)
  if (/^0[0-7]+$/.test(text)) return BigInt(`0o${text.slice(1)}`)
  if (/^(0|[1-9][0-9]*)$/.test(text)) return BigInt(text)
  return undefined
}

/** `0x1f`, and plain `0` for zero. */
export const hex = (value: bigint | number): string => (BigInt(value) === 0n ? '0' : `0x${value.toString(16)}`)

/** `0x0800`. */
export const hex4 = (value: bigint | number): string => `0x${value.toString(16).padStart(4, '0')}`

export const parseEthernet = (text: string): bigint | undefined => {
  if (!/^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}$/.test(text)) return undefined
  return text.split(':').reduce((value, octet) => (value << 8n) | BigInt(Number.parseInt(octet, 16)), 0n)
}

export const formatEthernet = (value: bigint): string =>
  value
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?!$)/g, '$&:')

export const parseIpv4 = (text: string): bigint | undefined => {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined
  const octets = text.split('.').map(Number)
  return octets.some((o) => o > 255) ? undefined : octets.reduce((value, o) => (value << 8n) | BigInt(o), 0n)
}

export const formatIpv4 = (value: bigint): string =>
  [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')

/** RFC 4291 section 2.2, all three forms; no zone. */
export const parseIpv6 = (text: string): bigint | undefined => {
  if (text.length > 45 || !/^[0-9a-fA-F:.]+$/.test(text)) return undefined
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const groups = (half: string, last: boolean): number[] | undefined => {
    if (half === '') return []
    const out: number[] = []
    const parts = half.split(':')
    for (const [i, part] of parts.entries()) {
      if (last && i === parts.length - 1 && part.includes('.')) {
        const v4 = parseIpv4(part)
        if (v4 === undefined) return undefined
        out.push(Number(v4 >> 16n), Number(v4 & 0xffffn))
      } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) out.push(Number.parseInt(part, 16))
      else return undefined
    }
    return out
  }
  const head = groups(halves[0]!, halves.length === 1)
  const tail = halves.length === 2 ? groups(halves[1]!, true) : []
  if (head === undefined || tail === undefined) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  return [...head, ...new Array<number>(missing).fill(0), ...tail].reduce((v, g) => (v << 16n) | BigInt(g), 0n)
}

/** As the C library prints it: the first longest run of two or more zero groups shortened, mapped and compatible addresses in dots. */
export const formatIpv6 = (value: bigint): string => {
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn))
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let n = 0
    while (i + n < 8 && groups[i + n] === 0) n++
    if (n > length) {
      start = i
      length = n
    }
  }
  if (start === 0 && (length === 6 || (length === 5 && groups[5] === 0xffff))) {
    return `::${length === 5 ? 'ffff:' : ''}${formatIpv4(value & 0xffffffffn)}`
  }
  const text = (part: number[]): string => part.map((g) => g.toString(16)).join(':')
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`
}

/** The mask of a prefix of `length` bits in `bits`. */
export const prefixMask = (length: number, bits: number): bigint =>
  ((1n << BigInt(length)) - 1n) << BigInt(bits - length)

/** The prefix length that a mask is, or undefined for a mask with holes. */
export const prefixLength = (mask: bigint, bits: number): number | undefined => {
  for (let length = 0; length <= bits; length++) if (mask === prefixMask(length, bits)) return length
  return undefined
}

/** Parses `A`, `A/len` or `A/mask`. */
export const parsePrefix = (
  text: string,
  bits: 32 | 128,
): { readonly value: bigint; readonly mask: bigint | undefined } | undefined => {
  const parse = bits === 32 ? parseIpv4 : parseIpv6
  const slash = text.indexOf('/')
  const value = parse(slash < 0 ? text : text.slice(0, slash))
  if (value === undefined) return undefined
  if (slash < 0) return { value, mask: undefined }
  const tail = text.slice(slash + 1)
  const length = /^\d{1,3}$/.test(tail) ? Number(tail) : undefined
  const mask = length === undefined ? parse(tail) : length <= bits ? prefixMask(length, bits) : undefined
  return mask === undefined ? undefined : { value, mask }
}

/** `10.0.0.0/8`, `10.0.3.0/255.0.255.0`, or the plain address for a full mask. */
export const formatPrefix = (value: bigint, mask: bigint, bits: 32 | 128): string => {
  const format = bits === 32 ? formatIpv4 : formatIpv6
  const length = prefixLength(mask, bits)
  if (length === bits) return format(value)
  return `${format(value)}/${length ?? format(mask)}`
}
