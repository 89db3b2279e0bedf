/** The kernel's end of a netlink socket: the test reads requests and queues what is to be received. */
import { buildMessage, type NetlinkMessage, payloadOf, rt, splitMessages } from '../../../src/netlink/codec.ts'
import { RTM_NEWLINK } from '../../../src/netlink/link.ts'
import { NetlinkSocket } from '../../../src/netlink/socket.ts'
import type { NetlinkTransport, Timers } from '../../../src/netlink/transport.ts'

export const PORTID = 4711

export class FakeKernel implements NetlinkTransport, Timers {
  readonly requests: NetlinkMessage[] = []
  readonly timers = new Map<object, { ms: number; call: () => void }>()
  watched = true
  closed = false
  #incoming: (Buffer | number | Error)[] = []
  #ready: () => void = () => {}

  open(): { fd: number; portid: number } {
    return { fd: 5, portid: PORTID }
  }
  readonly joined: number[] = []
  join(_fd: number, group: number): void {
    this.joined.push(group)
  }
  send(_fd: number, message: Uint8Array): void {
    for (const request of splitMessages(Buffer.from(message), () => {
      throw new Error('a malformed request')
    }))
      this.requests.push(request)
  }
  recv(_fd: number, buffer: Uint8Array): number {
    const next = this.#incoming.shift()
    if (next === undefined) return 0
    if (next instanceof Error) throw next
    if (typeof next === 'number') return next
    buffer.set(next)
    return next.length
  }
  watch(_fd: number, ready: () => void): number {
    this.#ready = ready
    return 1
  }
  unwatch(): void {
    this.watched = false
  }
  close(): void {
    this.closed = true
  }
  after(ms: number, call: () => void): () => void {
    const key = {}
    this.timers.set(key, { ms, call })
    return () => this.timers.delete(key)
  }

  /** Queues datagrams, -1 for an overrun, errors of recv; then the socket is readable. */
  deliver(...items: (Buffer | number | Error)[]): void {
    this.#incoming.push(...items)
    this.#ready()
  }
  expire(): void {
    for (const [key, { call }] of [...this.timers]) {
      this.timers.delete(key)
      call()
    }
  }
  get last(): NetlinkMessage {
    return this.requests.at(-1)!
  }
}

export const message = (
  type: number,
  payload: Uint8Array,
  header: { flags?: number; seq?: number; port?: number } = {},
): Buffer => {
  const out = buildMessage({ type, flags: header.flags ?? 0, seq: header.seq ?? 0 }, payload)
  out.writeUInt32LE(header.port ?? 0, 12)
  // The next message in a datagram begins on four bytes.
  return Buffer.concat([out, Buffer.alloc(-out.length & 3)])
}

/** NLMSG_ERROR for a request, with an extended ack where `text` is given. */
export const ack = (request: NetlinkMessage, errno = 0, text?: string): Buffer => {
  const fixed = Buffer.alloc(20)
  fixed.writeInt32LE(-errno, 0)
  fixed.writeUInt32LE(16 + request.data.length, 4)
  const parts: Buffer[] = [fixed]
  if (text !== undefined) {
    // As the kernel does for failures: the request as a whole, then attributes.
    parts.push(request.data, Buffer.alloc((4 - (request.data.length % 4)) % 4))
    const body = Buffer.from(`${text}\0`)
    const header = Buffer.alloc(4)
    header.writeUInt16LE(4 + body.length, 0)
    header.writeUInt16LE(1, 2)
    parts.push(header, body)
  }
  const flags = text === undefined ? 0x100 : 0x200
  return message(2, Buffer.concat(parts), { flags, seq: request.seq, port: PORTID })
}

export const done = (request: NetlinkMessage, flags = 0): Buffer =>
  message(3, Buffer.alloc(4), { flags: 2 | flags, seq: request.seq, port: PORTID })

export interface LinkFacts {
  index: number
  name: string
  mtu?: number
  up?: boolean
  carrier?: boolean
}

export const linkPayload = ({ index, name, mtu = 1500, up = false, carrier = false }: LinkFacts): Buffer =>
  payloadOf((out) =>
    rt.formatLinkMessage(
      {
        kind: 'link',
        data: { index, flags: { ...(up ? { up: true } : {}), ...(carrier ? { lowerUp: true } : {}) } },
        attrs: { ifname: name, mtu, operstate: 2, address: Buffer.from('020000000001', 'hex') },
      },
      out,
    ),
  )

export const linkNews = (facts: LinkFacts, type = RTM_NEWLINK): Buffer => message(type, linkPayload(facts))

/** A part of the answer to a dump. */
export const linkPart = (request: NetlinkMessage, facts: LinkFacts, flags = 0): Buffer =>
  message(RTM_NEWLINK, linkPayload(facts), { flags: 2 | flags, seq: request.seq, port: PORTID })

export const createSocket = () => {
  const kernel = new FakeKernel()
  const socket = new NetlinkSocket({ transport: kernel, timers: kernel, timeoutMs: 1000 })
  return { kernel, socket }
}
