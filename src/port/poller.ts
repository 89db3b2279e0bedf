/**
 * Which ports of a worker can be read: an epoll set. A descriptor that reports an error without giving frames is taken out, so that it is not spun
 * upon, and tried again now and then: its interface may only be down.
 */
import { type EpollContext, native } from '../native/binding.ts'

const EVENTFD_TOKEN = -1
const MAX_EVENTS = 256
const EPOLLIN = 1
const RETRY_MS = 500

export class Poller {
  /** Port numbers after `wait`. */
  readonly ready = new Int32Array(MAX_EVENTS)
  /** True after a `wait` that another thread ended. */
  woken = false
  /** Milliseconds of the system's clock (lib/clock.ts) after `wait`. */
  now = 0
  readonly #ep: number
  readonly #context: EpollContext
  readonly #clock = new Float64Array(1)
  /** From CLOCK_MONOTONIC to the system's clock. */
  readonly #offset: number
  readonly #tokens = new Int32Array(MAX_EVENTS)
  readonly #events = new Int32Array(MAX_EVENTS)
  /** By port number: descriptor in the set. */
  readonly #fds = new Map<number, number>()
  /** Ports with an error reported, whose next fruitless receive takes them out. */
  readonly #suspect = new Set<number>()
  /** By port number: descriptor to try again. */
  readonly #resting = new Map<number, number>()
  #retryAt = 0

  constructor(ep: number, eventfd: number) {
    this.#ep = ep
    this.#context = native.epollOpen(ep, this.#tokens, this.#events, this.#clock)
    native.epollWait(this.#context, 0)
    this.#offset = performance.timeOrigin + performance.now() - this.#clock[0]!
    native.epollAdd(ep, eventfd, EVENTFD_TOKEN)
  }

  add(no: number, fd: number): void {
    this.remove(no)
    native.epollAdd(this.#ep, fd, no)
    this.#fds.set(no, fd)
  }

  remove(no: number): void {
    const fd = this.#fds.get(no)
    this.#resting.delete(no)
    this.#suspect.delete(no)
    if (fd === undefined) return
    this.#fds.delete(no)
    try {
      native.epollDel(this.#ep, fd)
    } catch {
      // A descriptor whose device is gone has left the set by itself.
    }
  }

  /** Takes a port out until `retry` or for RETRY_MS. */
  rest(no: number, now: number): void {
    const fd = this.#fds.get(no)
    if (fd === undefined) return
    this.remove(no)
    this.#resting.set(no, fd)
    if (this.#retryAt === 0) this.#retryAt = now + RETRY_MS
  }

  /** Watches a resting port again: its interface is said to be up. */
  retry(no: number): void {
    const fd = this.#resting.get(no)
    if (fd !== undefined) this.add(no, fd)
  }

  /** Watches all resting ports again when their time has come. Called once a round. */
  tick(now: number): void {
    if (this.#retryAt === 0 || now < this.#retryAt) return
    this.#retryAt = 0
    for (const no of [...this.#resting.keys()]) this.retry(no)
  }

  /** Milliseconds until resting ports are to be watched again. */
  get patience(): number {
    return this.#retryAt === 0 ? Number.POSITIVE_INFINITY : RETRY_MS
  }

  /** True if the last event of the port was an error: a receive that gives nothing means that it must rest. */
  isSuspect(no: number): boolean {
    return this.#suspect.size > 0 && this.#suspect.delete(no)
  }

  /** Waits; fills `ready`; returns how many ports can be read. */
  wait(timeoutMs: number): number {
    const n = native.epollWait(this.#context, timeoutMs)
    this.now = Math.floor(this.#clock[0]! + this.#offset)
    let ports = 0
    this.woken = false
    for (let i = 0; i < n; i++) {
      const token = this.#tokens[i]!
      if (token === EVENTFD_TOKEN) {
        this.woken = true
        continue
      }
      if ((this.#events[i]! & ~EPOLLIN) !== 0) this.#suspect.add(token)
      this.ready[ports++] = token
    }
    return ports
  }
}
