/**
 * What bridges do for themselves whose internal port no host's stack owns: they answer ARP and neighbour solicitations for their addresses, and learn from what their neighbours
 * say (own-neighbours.ts). Main thread; fed by tier 1 with the frames that it would have handed to the host.
 *
 * Who speaks unasked can change what is known of itself, as RFC 826 and RFC 4861 section 7.2.5 have it, but makes nobody known.
 */
import { sameAddress } from '../flow/address.ts'
import type { Scheduler } from '../lib/scheduler.ts'
import { TokenBucket } from '../lib/token-bucket.ts'
import type { OwnNeighbours } from './own-neighbours.ts'
import { announcementFrame, type Heard, readNeighbourFrame, replyFrame } from './own-neighbours-frames.ts'
import type { OwnPort } from './own-port.ts'

export interface OwnStackCounters {
  /** Requests for our addresses that were answered. */
  answered: number
  /** Those that were not, since there were too many. */
  limited: number
  /** Replies and advertisements that nobody had asked for. */
  unsolicited: number
  /** Frames that are not sound. */
  invalid: number
  /** Somebody else says that an address of ours is its own. */
  conflicts: number
  /** Messages by which we tell where we are, unasked. */
  announced: number
}

export interface OwnStackOptions {
  readonly neighbours: Pick<OwnNeighbours, 'heard' | 'asks' | 'knows'>
  readonly send: (port: OwnPort, frame: Uint8Array) => void
  readonly scheduler: Scheduler
}

/** Answers a second, and at once. */
const RATE = 1000
const BURST = 200

const isGroup = (mac: Uint8Array): boolean => (mac[0]! & 1) !== 0

export const ownsAddress = ({ addresses }: OwnPort, address: Uint8Array): boolean =>
  addresses.some(({ bytes }) => sameAddress(bytes, address))

export class OwnStack {
  readonly counters: OwnStackCounters = {
    answered: 0,
    limited: 0,
    unsolicited: 0,
    invalid: 0,
    conflicts: 0,
    announced: 0,
  }
  readonly #options: OwnStackOptions
  readonly #bucket: TokenBucket

  constructor(options: OwnStackOptions) {
    this.#options = options
    this.#bucket = new TokenBucket(RATE, BURST, options.scheduler.elapsed())
  }

  /** A frame for the port. `checked`: its checksum need not be looked at. */
  receive(port: OwnPort, frame: Uint8Array, checked: boolean): void {
    const heard = readNeighbourFrame(frame, checked)
    if (heard === undefined) {
      this.counters.invalid++
      return
    }
    if (sameAddress(heard.ethSrc, port.mac)) return
    const { neighbour, target } = heard
    if (neighbour !== undefined && ownsAddress(port, neighbour)) this.counters.conflicts++
    else if (neighbour !== undefined) this.#learn(port, neighbour, heard)
    if (heard.asks && ownsAddress(port, target)) this.#answer(port, target, heard)
  }

  /** Tells all who care where the port's addresses are. */
  announce(port: OwnPort): void {
    for (const { bytes } of port.addresses) {
      this.counters.announced++
      this.#options.send(port, announcementFrame({ mac: port.mac, address: bytes }))
    }
  }

  #learn(port: OwnPort, neighbour: Uint8Array, heard: Heard): void {
    const { neighbours } = this.#options
    const { asks, solicited, target, ethDst, override, lladdr } = heard
    const toUs = sameAddress(ethDst, port.mac) && ownsAddress(port, target)
    const answers = !asks && solicited && toUs && neighbours.asks(port.ifindex, neighbour)
    if (!asks && !answers) this.counters.unsolicited++
    // Of solicitations only those for us count (RFC 4861 section 7.2.3); an advertisement for all is one that tells unasked.
    neighbours.heard(port.ifindex, neighbour, {
      type: answers ? 'answer' : 'told',
      override,
      ...(lladdr === undefined ? {} : { lladdr }),
    })
  }

  #answer(port: OwnPort, address: Uint8Array, heard: Heard): void {
    const { ethDst } = heard
    if (!isGroup(ethDst) && !sameAddress(ethDst, port.mac)) return
    if (!this.#bucket.take(this.#options.scheduler.elapsed())) {
      this.counters.limited++
      return
    }
    this.counters.answered++
    this.#options.send(port, replyFrame({ mac: port.mac, address }, heard))
  }
}
