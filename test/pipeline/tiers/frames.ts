/** Builds frames from fields, every checksum computed over the whole: the slow, obvious way. */

export interface FrameFields {
  dst: string
  src: string
  /** Tags, outermost first. */
  vlans?: { tpid: number; tci: number }[]
  /** Label stack entries, outermost first. */
  mpls?: number[]
  mplsType?: number
  ip?: { src: string; dst: string; tos?: number; ttl?: number; frag?: number; id?: number }
  ip6?: { src: string; dst: string; tclass?: number; label?: number; hops?: number }
  udp?: { src: number; dst: number; zero?: boolean }
  tcp?: { src: number; dst: number; flags?: number; seq?: number }
  sctp?: { src: number; dst: number }
  icmp?: { type: number; code: number }
  /** ICMPv6 by type, code and body. */
  icmp6?: { type: number; code: number; body: number[] }
  arp?: { op: number; sha: string; spa: string; tha: string; tpa: string }
  type?: number
  payload?: number[]
}

const hex = (mac: string): number[] => mac.split(':').map((x) => Number.parseInt(x, 16))
const v4 = (a: string): number[] => a.split('.').map(Number)
const v6 = (a: string): number[] => {
  const [head = '', tail] = a.split('::')
  const words = (s: string) => (s === '' ? [] : s.split(':').map((x) => Number.parseInt(x, 16)))
  const h = words(head)
  const t = tail === undefined ? [] : words(tail)
  return [...h, ...Array<number>(8 - h.length - t.length).fill(0), ...t].flatMap((w) => [w >> 8, w & 255])
}
const be16 = (v: number): number[] => [(v >> 8) & 255, v & 255]
const be32 = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255]

export const sum = (bytes: number[]): number => {
  let s = 0
  for (let i = 0; i < bytes.length; i += 2) s += (bytes[i]! << 8) | (bytes[i + 1] ?? 0)
  while (s > 0xffff) s = (s & 0xffff) + (s >> 16)
  return s
}

const crc32c = (bytes: number[]): number => {
  let c = 0xffffffff
  for (const b of bytes) {
    c ^= b
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  }
  return ~c >>> 0
}

const transport = (f: FrameFields): { proto: number; bytes: number[]; sumAt: number } => {
  const payload = f.payload ?? []
  if (f.udp)
    return {
      proto: 17,
      bytes: [...be16(f.udp.src), ...be16(f.udp.dst), ...be16(8 + payload.length), 0, 0, ...payload],
      sumAt: f.udp.zero ? -1 : 6,
    }
  if (f.tcp)
    return {
      proto: 6,
      bytes: [
        ...be16(f.tcp.src),
        ...be16(f.tcp.dst),
        ...be32(f.tcp.seq ?? 1),
        ...be32(2),
        0x50,
        f.tcp.flags ?? 0x10,
        0xff,
        0xff,
        0,
        0,
        0,
        0,
        ...payload,
      ],
      sumAt: 16,
    }
  if (f.sctp) {
    const bytes = [...be16(f.sctp.src), ...be16(f.sctp.dst), ...be32(77), 0, 0, 0, 0, ...payload]
    const crc = crc32c(bytes)
    for (let i = 0; i < 4; i++) bytes[8 + i] = (crc >>> (8 * i)) & 255
    return { proto: 132, bytes, sumAt: -1 }
  }
  if (f.icmp) {
    const bytes = [f.icmp.type, f.icmp.code, 0, 0, 0, 1, 0, 2, ...payload]
    const s = ~sum(bytes) & 0xffff
    bytes[2] = s >> 8
    bytes[3] = s & 255
    return { proto: 1, bytes, sumAt: -1 }
  }
  if (f.icmp6) return { proto: 58, bytes: [f.icmp6.type, f.icmp6.code, 0, 0, ...f.icmp6.body], sumAt: 2 }
  return { proto: 253, bytes: payload, sumAt: -1 }
}

const layer3 = (f: FrameFields, partial: boolean): { type: number; bytes: number[] } => {
  if (f.arp) {
    const a = f.arp
    return {
      type: 0x0806,
      bytes: [0, 1, 8, 0, 6, 4, ...be16(a.op), ...hex(a.sha), ...v4(a.spa), ...hex(a.tha), ...v4(a.tpa)],
    }
  }
  if (!f.ip && !f.ip6) return { type: f.type ?? 0x88b5, bytes: f.payload ?? [] }
  const t = transport(f)
  const src = f.ip ? v4(f.ip.src) : v6(f.ip6!.src)
  const dst = f.ip ? v4(f.ip.dst) : v6(f.ip6!.dst)
  if (t.sumAt >= 0) {
    const pseudo = sum([...src, ...dst, ...be32(t.proto), ...be32(t.bytes.length)])
    let s = partial ? pseudo : ~sum([...be16(pseudo), ...t.bytes]) & 0xffff
    if (!partial && s === 0 && t.proto === 17) s = 0xffff
    t.bytes[t.sumAt] = s >> 8
    t.bytes[t.sumAt + 1] = s & 255
  }
  if (f.ip) {
    const ip = f.ip
    const head = [
      0x45,
      ip.tos ?? 0,
      ...be16(20 + t.bytes.length),
      ...be16(ip.id ?? 0),
      ...be16(ip.frag ?? 0x4000),
      ip.ttl ?? 64,
      t.proto,
      0,
      0,
      ...src,
      ...dst,
    ]
    const s = ~sum(head) & 0xffff
    head[10] = s >> 8
    head[11] = s & 255
    return { type: 0x0800, bytes: [...head, ...t.bytes] }
  }
  const ip = f.ip6!
  const first = ((6 << 28) | ((ip.tclass ?? 0) << 20) | (ip.label ?? 0)) >>> 0
  return {
    type: 0x86dd,
    bytes: [...be32(first), ...be16(t.bytes.length), t.proto, ip.hops ?? 64, ...src, ...dst, ...t.bytes],
  }
}

/** `partial`: only the pseudo-header sum is in the transport checksum's place. */
export const build = (f: FrameFields, partial = false): Uint8Array => {
  const l3 = layer3(f, partial)
  const tags = (f.vlans ?? []).flatMap((v) => [...be16(v.tpid), ...be16(v.tci)])
  const labels = (f.mpls ?? []).flatMap(be32)
  const type = labels.length > 0 ? (f.mplsType ?? 0x8847) : l3.type
  return Uint8Array.from([...hex(f.dst), ...hex(f.src), ...tags, ...be16(type), ...labels, ...l3.bytes])
}

/** A numbered UDP frame of flow `flow`: for tests of order. */
export const numbered = (flow: number, n: number, more: Partial<FrameFields> = {}): Uint8Array =>
  build({
    dst: '02:00:00:00:00:02',
    src: '02:00:00:00:00:01',
    ip: { src: '10.0.0.1', dst: '10.0.0.2' },
    udp: { src: 1000 + flow, dst: 53 },
    payload: be32(n),
    ...more,
  })

/** What `numbered` put in. */
export const numberOf = (frame: Uint8Array): { flow: number; n: number } => {
  const at = frame.length - 12
  return {
    flow: ((frame[at]! << 8) | frame[at + 1]!) - 1000,
    n: ((frame[at + 8]! << 24) | (frame[at + 9]! << 16) | (frame[at + 10]! << 8) | frame[at + 11]!) >>> 0,
  }
}

/** The numbers from .. to - 1. */
export const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
