/**
 * Random frames that get deep into a parser: mostly well-formed stacks of headers, each field wrong now and then, and
 * at the end the whole cut, padded or hit by random bytes. Never empty.
 */
import type { Random } from './random.ts'

const u16 = (n: number): number[] => [(n >> 8) & 255, n & 255]

const TYPES = [
  0x0800, 0x0800, 0x0800, 0x86dd, 0x86dd, 0x86dd, 0x0806, 0x8035, 0x8847, 0x8848, 0x894f, 0x1234, 0x8100,
] as const
const PROTOS = [1, 2, 6, 6, 17, 17, 58, 58, 132, 0, 43, 44, 51, 60, 41, 47, 255] as const
const EXTENSIONS = [0, 43, 44, 51, 60] as const

export const randomFrame = (r: Random): Uint8Array => {
  const bytes = [...r.bytes(12), ...afterAddresses(r)]
  return disturb(r, Uint8Array.from(bytes))
}

/** Cuts, pads or overwrites; most frames stay as they are. */
export const disturb = (r: Random, frame: Uint8Array): Uint8Array => {
  let out = Uint8Array.from(frame)
  if (r.oneIn(6))
    out = Uint8Array.from([...out, ...(r.oneIn(2) ? new Array<number>(r.below(64)).fill(0) : r.bytes(r.below(64)))])
  if (r.oneIn(6)) out = out.slice(0, 1 + r.below(out.length))
  while (r.oneIn(4)) out[r.below(out.length)] = r.pick([0, 1, 0xff, r.below(256), r.below(256)])
  if (r.oneIn(10)) {
    const at = r.below(out.length)
    out[at] = out[at]! ^ (1 << r.below(8))
  }
  return out
}

const afterAddresses = (r: Random): number[] => {
  const tags: number[] = []
  while (r.oneIn(4)) tags.push(...u16(r.pick([0x8100, 0x88a8, 0x9100])), ...r.bytes(2))
  const type = r.pick(TYPES)
  const payload = byType(r, type)
  if (r.oneIn(10)) {
    const snap = [0xaa, 0xaa, 3, 0, 0, r.oneIn(6) ? 1 : 0, ...u16(r.oneIn(6) ? r.below(0x700) : type)]
    return [...tags, ...u16(r.oneIn(8) ? r.below(0x800) : payload.length + 8), ...snap, ...payload]
  }
  return [...tags, ...u16(type), ...payload]
}

const byType = (r: Random, type: number): number[] => {
  switch (type) {
    case 0x0800:
      return ipv4(r)
    case 0x86dd:
      return ipv6(r)
    case 0x0806:
    case 0x8035:
      return [
        ...u16(wrong(r, 1)),
        ...u16(wrong(r, 0x0800)),
        ...u16(wrong(r, 0x0604)),
        ...u16(r.oneIn(8) ? r.word() : r.below(5)),
        ...r.bytes(20),
      ]
    case 0x8847:
    case 0x8848:
      return [...mpls(r), ...ipv4(r)]
    case 0x894f:
      return nsh(r)
    default:
      return r.bytes(r.below(60))
  }
}

const wrong = (r: Random, value: number): number => (r.oneIn(12) ? r.word() & 0xffff : value)

const ipv4 = (r: Random): number[] => {
  const proto = r.pick(PROTOS)
  const payload = transport(r, proto)
  const options = r.oneIn(5) ? r.bytes(4 * (1 + r.below(10))) : []
  const ihl = r.oneIn(15) ? r.below(16) : 5 + options.length / 4
  const total = r.oneIn(10) ? r.below(2 * (20 + options.length + payload.length)) : 20 + options.length + payload.length
  const frag = r.oneIn(4) ? r.pick([0x2000, 0x4000, 0x8000, 1, 0x2001, 0x1fff, r.below(0x10000)]) : 0
  const version = r.oneIn(20) ? r.below(16) : 4
  const head = [(version << 4) | ihl, r.below(256), ...u16(total), ...r.bytes(2), ...u16(frag), r.below(256), proto]
  return [...head, ...r.bytes(10), ...options, ...payload]
}

const ipv6 = (r: Random): number[] => {
  const chain: number[] = []
  let next: number = r.pick(PROTOS)
  let body = transport(r, next)
  while (r.oneIn(3)) {
    const header = r.pick(EXTENSIONS)
    body = [...extension(r, header, next), ...body]
    next = header
  }
  chain.push(...body)
  const length = r.oneIn(10) ? r.below(2 * (chain.length + 1)) : chain.length
  const version = r.oneIn(20) ? r.below(16) : 6
  const address = (): number[] =>
    r.oneIn(2) ? r.bytes(16) : Array.from({ length: 16 }, () => (r.oneIn(4) ? r.below(256) : 0))
  return [
    (version << 4) | r.below(16),
    ...r.bytes(3),
    ...u16(length),
    next,
    r.below(256),
    ...address(),
    ...address(),
    ...chain,
  ]
}

const extension = (r: Random, header: number, next: number): number[] => {
  if (header === 44)
    return [next, r.below(256), ...u16(r.pick([0, 0, 1, 2, 4, 6, 8, 9, r.below(0x10000)])), ...r.bytes(4)]
  const units = r.below(3)
  const announced = r.oneIn(12) ? r.below(256) : units
  if (header === 51) return [next, announced, ...r.bytes((units + 2) * 4 - 2)]
  return [next, announced, ...r.bytes((units + 1) * 8 - 2)]
}

const transport = (r: Random, proto: number): number[] => {
  const rest = r.bytes(r.below(24))
  switch (proto) {
    case 6: {
      const words = r.oneIn(4) ? r.below(11) : 0
      const offset = r.oneIn(10) ? r.below(16) : 5 + words
      return [...r.bytes(12), (offset << 4) | r.below(16), r.below(256), ...r.bytes(6 + 4 * words), ...rest]
    }
    case 58:
      return r.oneIn(4) ? [...r.bytes(8), ...rest] : neighbour(r)
    default:
      return [...r.bytes(8), ...rest]
  }
}

const neighbour = (r: Random): number[] => {
  const out = [r.pick([135, 136, 134]), r.oneIn(8) ? r.below(256) : 0, ...r.bytes(22)]
  while (!r.oneIn(3)) {
    const type = r.pick([1, 1, 2, 2, 3, 5, 14])
    const units = r.oneIn(5) ? r.below(4) : 1
    const address = r.oneIn(5) ? [0, 0, 0, 0, 0, 0] : r.bytes(6)
    out.push(type, units, ...address)
    if (units > 1 && !r.oneIn(4)) out.push(...r.bytes(8 * (units - 1)))
  }
  return out
}

const mpls = (r: Random): number[] => {
  const out: number[] = []
  do {
    const [a, b, c, d] = r.bytes(4) as [number, number, number, number]
    out.push(a, b, c & 0xfe, d)
  } while (!r.oneIn(3))
  if (!r.oneIn(8)) out[out.length - 2] = out[out.length - 2]! | 1
  return out
}

const nsh = (r: Random): number[] => {
  const type = r.oneIn(6) ? r.below(256) : r.pick([1, 1, 1, 2, 3])
  const words = r.oneIn(6) ? r.below(64) : type === 1 ? 6 : 2 + r.below(4)
  const version = r.oneIn(12) ? r.below(4) : 0
  const head = [(version << 6) | r.below(64), (r.below(4) << 6) | words, type, r.below(6)]
  return [...head, ...r.bytes(r.oneIn(8) ? r.below(24) : Math.max(4, words * 4 - 4)), ...r.bytes(r.below(20))]
}
