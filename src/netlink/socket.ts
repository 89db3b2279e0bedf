/**
 * One rtnetlink socket: requests and dumps, one at a time, and the news of the groups it has joined. Main thread.
 *
 * Answers are told from news by sequence number and port id; a dump's parts also by the MULTI flag, since the kernel stamps the news that a request causes
 * with the request's own numbers. A dump that the kernel marks as interrupted (the table changed meanwhile) is made again. An overrun loses news, not
 * answers: it is reported, and whoever mirrors a table dumps it again.
 */
import { errorCode } from '../lib/errors.ts'
import {
  buildMessage,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  parseAck,
  splitMessages,
} from './codec.ts'
import { errnoName, messageName, NetlinkError } from './error.ts'
import { type NetlinkTransport, systemTimers, type Timers } from './transport.ts'

export interface NetlinkSocketOptions {
  readonly transport: NetlinkTransport
  readonly timers?: Timers
  /** Namespace of `ip netns`; absent: the process's own. */
  readonly netns?: string
  /** RTNLGRP_* numbers. */
  readonly groups?: readonly number[]
  /** Bytes. */
  readonly rcvbuf?: number
  /** For an answer, or the next part of one. */
  readonly timeoutMs?: number
}

export interface NetlinkNews {
  /** A message of a joined group. Its data is valid only during the call. */
  message(message: NetlinkMessage): void
  /** News were lost. */
  overrun(): void
  /** The socket is unusable and has been closed. */
  failed(error: Error): void
}

export interface NetlinkSocketCounters {
  messages: number
  /** Datagrams or messages that made no sense, or that a listener could not take. Skipped. */
  malformed: number
  overruns: number
  /** Dumps made again because the table changed meanwhile. */
  interruptedDumps: number
  /** Answers to requests that had been given up. */
  stale: number
}

/** Asked for as a list of dumped messages, a single answer, or nothing but success. */
type Expect = 'dump' | 'answer' | 'ack'

interface Request {
  readonly type: number
  readonly flags: number
  readonly payload: Uint8Array
  readonly expect: Expect
  /** Called for each part of a dump as it comes; must not keep the data. */
  readonly part: (message: NetlinkMessage) => void
  /** A dump begins again: forget the parts so far. */
  readonly again: () => void
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  seq: number
  interrupted: boolean
  tries: number
  cancelTimer: () => void
}

const RECEIVE_BUFFER = 64 * 1024
/** Messages in one go, but for the rest of a datagram; then the event loop has its turn. */
const BATCH = 2000
const DUMP_TRIES = 10
const NO_NEWS: NetlinkNews = { message() {}, overrun() {}, failed() {} }

export class NetlinkSocket {
  readonly counters: NetlinkSocketCounters = { messages: 0, malformed: 0, overruns: 0, interruptedDumps: 0, stale: 0 }
  readonly netns: string | undefined
  readonly #transport: NetlinkTransport
  readonly #timers: Timers
  readonly #timeoutMs: number
  readonly #fd: number
  readonly #portid: number
  readonly #watch: number
  readonly #buffer = Buffer.alloc(RECEIVE_BUFFER)
  readonly #queue: Request[] = []
  #news = NO_NEWS
  #current: Request | undefined
  #seq = 0
  #closed = false

  /** Throws an error with `code` when the namespace does not exist or the kernel refuses. */
  constructor(options: NetlinkSocketOptions) {
    this.#transport = options.transport
    this.#timers = options.timers ?? systemTimers
    this.#timeoutMs = options.timeoutMs ?? 5000
    this.netns = options.netns
    const { fd, portid } = this.#transport.open({
      groups: [...(options.groups ?? [])],
      ...(options.netns === undefined ? {} : { netns: options.netns }),
      ...(options.rcvbuf === undefined ? {} : { rcvbuf: options.rcvbuf }),
    })
    this.#fd = fd
    this.#portid = portid
    this.#watch = this.#transport.watch(fd, () => this.#receive())
  }

  /** Who hears news; one listener, who passes them on. */
  listen(news: NetlinkNews): void {
    this.#news = news
  }

  /** News of further groups come from now on. Throws an error with a `code`. */
  join(groups: readonly number[]): void {
    for (const group of groups) this.#transport.join(this.#fd, group)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Changes something. Rejects with NetlinkError. */
  async change(type: number, flags: number, payload: Uint8Array): Promise<void> {
    await this.#submit(type, NLM_F_REQUEST | NLM_F_ACK | flags, payload, 'ack', () => {})
  }

  /** Asks for one thing. `parse` gets the answer; rejects with NetlinkError, ENODEV and the like among them. */
  async get<T>(type: number, payload: Uint8Array, parse: (message: NetlinkMessage) => T): Promise<T> {
    const answers: T[] = []
    await this.#submit(type, NLM_F_REQUEST | NLM_F_ACK, payload, 'answer', (message) => answers.push(parse(message)))
    if (answers.length === 0) throw new NetlinkError(messageName(type), 'ENOMSG', 42, 'the kernel said yes and no more')
    return answers[0]!
  }

  /** Lists a table. Parts are handed out in step with news, so that whoever applies both in order has the table's state. */
  async dump(
    type: number,
    payload: Uint8Array,
    part: (message: NetlinkMessage) => void,
    again: () => void,
  ): Promise<void> {
    await this.#submit(type, NLM_F_REQUEST | NLM_F_DUMP, payload, 'dump', part, again)
  }

  /** Rejects what is under way. May be called again. */
  close(): void {
    this.#shut(new NetlinkError('netlink', 'ECLOSED', 0, 'the socket is closed'))
  }

  #submit(
    type: number,
    flags: number,
    payload: Uint8Array,
    expect: Expect,
    part: (message: NetlinkMessage) => void,
    again: () => void = () => {},
  ): Promise<void> {
    if (this.#closed) return Promise.reject(new NetlinkError(messageName(type), 'ECLOSED', 0, 'the socket is closed'))
    return new Promise((resolve, reject) => {
      this.#queue.push({
        type,
        flags,
        payload,
        expect,
        part,
        again,
        resolve,
        reject,
        seq: 0,
        interrupted: false,
        tries: 0,
        cancelTimer: () => {},
      })
      this.#next()
    })
  }

  #next(): void {
    if (this.#current || this.#closed) return
    this.#current = this.#queue.shift()
    if (this.#current) this.#send(this.#current)
  }

  #send(request: Request): void {
    this.#seq = (this.#seq % 0x7fffffff) + 1
    request.seq = this.#seq
    request.interrupted = false
    request.tries++
    this.#arm(request)
    try {
      this.#transport.send(this.#fd, buildMessage(request, request.payload))
    } catch (error) {
      this.#end(request, error as Error)
    }
  }

  #arm(request: Request): void {
    request.cancelTimer()
    request.cancelTimer = this.#timers.after(this.#timeoutMs, () => {
      const text = `no answer within ${this.#timeoutMs} ms`
      this.#end(request, new NetlinkError(messageName(request.type), 'ETIMEDOUT', 110, text))
    })
  }

  #end(request: Request, error?: Error): void {
    if (this.#current !== request) return
    request.cancelTimer()
    this.#current = undefined
    if (error) request.reject(error)
    else request.resolve()
    this.#next()
  }

  #receive(): void {
    const end = this.counters.messages + BATCH
    for (let i = 0; i < BATCH && this.counters.messages < end && !this.#closed; i++) {
      let length: number
      try {
        length = this.#transport.recv(this.#fd, this.#buffer)
      } catch (error) {
        if (errorCode(error) !== 'EMSGSIZE') {
          this.#shut(error as Error)
          this.#news.failed(error as Error)
          return
        }
        this.counters.malformed++
        length = -1
      }
      if (length === 0) return
      if (length < 0) {
        this.counters.overruns++
        this.#guard(() => this.#news.overrun())
        continue
      }
      for (const message of splitMessages(this.#buffer.subarray(0, length), () => this.counters.malformed++)) {
        this.counters.messages++
        this.#guard(() => this.#dispatch(message))
      }
    }
  }

  /** A message that a listener cannot take is counted and skipped: nothing may be thrown into the watcher. */
  #guard(call: () => void): void {
    try {
      call()
    } catch {
      this.counters.malformed++
    }
  }

  #dispatch(message: NetlinkMessage): void {
    if (message.type === NLMSG_NOOP) return
    const request = this.#current
    const control = message.type === NLMSG_ERROR || message.type === NLMSG_DONE
    const ours = message.port === this.#portid && request !== undefined && message.seq === request.seq
    if (ours && control) this.#finish(request, message)
    else if (ours && request.expect === 'dump' && (message.flags & NLM_F_MULTI) !== 0) {
      if ((message.flags & NLM_F_DUMP_INTR) !== 0) request.interrupted = true
      this.#arm(request)
      request.part(message)
    } else if (ours && request.expect === 'answer') request.part(message)
    else if (control || (message.flags & NLM_F_MULTI) !== 0) this.counters.stale++
    else this.#news.message(message)
  }

  #finish(request: Request, message: NetlinkMessage): void {
    const ack = parseAck(message)
    const name = messageName(request.type)
    const interrupted = request.interrupted || (message.flags & NLM_F_DUMP_INTR) !== 0
    if (!ack) this.#end(request, new NetlinkError(name, 'EBADMSG', 74, 'the answer is cut off'))
    else if (ack.errno !== 0) this.#end(request, new NetlinkError(name, errnoName(ack.errno), ack.errno, ack.text))
    else if (request.expect !== 'dump' || !interrupted) this.#end(request)
    else this.#dumpAgain(request, name)
  }

  #dumpAgain(request: Request, name: string): void {
    this.counters.interruptedDumps++
    if (request.tries >= DUMP_TRIES) {
      this.#end(request, new NetlinkError(name, 'EINTR', 4, `the table kept changing over ${DUMP_TRIES} dumps`))
      return
    }
    request.again()
    this.#send(request)
  }

  #shut(error: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#transport.unwatch(this.#watch)
    this.#transport.close(this.#fd)
    const open = [...(this.#current ? [this.#current] : []), ...this.#queue.splice(0)]
    this.#current = undefined
    for (const request of open) {
      request.cancelTimer()
      request.reject(error)
    }
  }
}
