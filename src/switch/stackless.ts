/**
 * Internal ports that no host's stack owns, put together: their ARP and neighbour discovery, what tier 1 hands to them, and what they send. Main thread.
 *
 * Sending waits for the end of what runs now: a next hop may be asked for from within a translation, and the request is translated itself.
 */
import type { Scheduler } from '../lib/scheduler.ts'
import { type SendParts, sendAsHost } from '../ofproto/send-as-host.ts'
import type { StacklessPorts } from '../tunnel/contract.ts'
import { OwnNeighbours } from '../tunnel/own-neighbours.ts'
import { type OwnPort, ownIfindex } from '../tunnel/own-port.ts'
import { OwnStack, ownsAddress } from '../tunnel/own-stack.ts'

export interface StacklessOptions extends SendParts {
  readonly ports: () => readonly OwnPort[]
  readonly scheduler: Scheduler
}

export interface StacklessCounters {
  /** Frames that were sent, and those that were lost: rules dropped them, or there was no room. */
  sent: number
  lost: number
}

/** Frames that may wait to be sent. */
const QUEUE = 1024

const identity = ({ mac, addresses }: OwnPort): string => `${mac} ${addresses.map(({ bytes }) => bytes).join(' ')}`

export class Stackless implements StacklessPorts {
  readonly counters: StacklessCounters = { sent: 0, lost: 0 }
  readonly neighbours: OwnNeighbours
  readonly stack: OwnStack
  readonly #options: StacklessOptions
  readonly #listeners: (() => void)[] = []
  readonly #queue: { readonly port: number; readonly frame: Uint8Array }[] = []
  /** By datapath port: what has been announced. */
  #announced = new Map<number, string>()

  constructor(options: StacklessOptions) {
    this.#options = options
    const { scheduler } = options
    const send = (port: OwnPort, frame: Uint8Array): void => this.#send(port, frame)
    this.neighbours = new OwnNeighbours({
      port: (ifindex) => options.ports().find((port) => port.ifindex === ifindex),
      send,
      scheduler,
    })
    this.stack = new OwnStack({ neighbours: this.neighbours, send, scheduler })
    this.neighbours.onKnown(() => this.#tell())
  }

  has(port: number): boolean {
    return this.#port(port) !== undefined
  }

  owns(port: number, address: Uint8Array): boolean {
    const own = this.#port(port)
    return own !== undefined && ownsAddress(own, address)
  }

  knows(port: number, address: Uint8Array): boolean {
    return this.neighbours.knows(ownIfindex(port), address)
  }

  receive(port: number, frame: Uint8Array, checked: boolean): void {
    const own = this.#port(port)
    if (own !== undefined) this.stack.receive(own, frame, checked)
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Ports came or went, or have other addresses: what is new is announced, what is gone forgotten. To be called when the bridges have them. */
  portsChanged(): void {
    const before = this.#announced
    this.#announced = new Map()
    for (const port of this.#options.ports()) {
      const now = identity(port)
      this.#announced.set(port.dpPort, now)
      if (before.get(port.dpPort) !== now) this.stack.announce(port)
    }
    for (const no of before.keys()) if (!this.#announced.has(no)) this.neighbours.flush(ownIfindex(no))
    if (before.size > 0 || this.#announced.size > 0) this.#tell()
  }

  close(): void {
    this.neighbours.close()
    this.#queue.length = 0
  }

  #port(no: number): OwnPort | undefined {
    return this.#options.ports().find(({ dpPort }) => dpPort === no)
  }

  #send({ dpPort }: OwnPort, frame: Uint8Array): void {
    if (this.#queue.length >= QUEUE) {
      this.counters.lost++
      return
    }
    this.#queue.push({ port: dpPort, frame })
    if (this.#queue.length === 1) this.#options.scheduler.soon(() => this.#flush())
  }

  #flush(): void {
    for (const { port, frame } of this.#queue.splice(0))
      this.counters[sendAsHost(this.#options, port, frame) ? 'sent' : 'lost']++
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
