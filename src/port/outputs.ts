/**
 * Frames on their way out of a thread's own ports: collected by port, written once a batch. Also keeps each port's MTU: what is too large on the wire
 * is dropped here, and what goes to a port that was taken down.
 */
import { type Arena, M_LEN, M_OFF, META_WORDS } from '../packet/slot.ts'
import { MAX_PORTS, type Port } from './contract.ts'
import { dropIndex } from './drop.ts'
import { countDrop, wireLargest } from './stats.ts'

const ROOM = 256
const TX_MTU = dropIndex('tx-mtu')
const PORT_DOWN = dropIndex('port-down')
const UNLIMITED = 0x7fffffff
const ETH_HLEN = 14
const ETH_VLAN = 0x8100
const ETH_QINQ = 0x88a8

interface Queue {
  readonly port: Port
  readonly slots: Int32Array
  n: number
}

export class Outputs {
  readonly #arena: Arena
  readonly #stats: Float64Array
  readonly #dispose: (slot: number) => void
  readonly #queues: (Queue | undefined)[] = new Array(MAX_PORTS).fill(undefined)
  /** Largest frame without tags; by port number. -1 while the port is down, so that one comparison finds both. */
  readonly #limits = new Int32Array(MAX_PORTS).fill(UNLIMITED)
  readonly #mtuLimits = new Int32Array(MAX_PORTS).fill(UNLIMITED)
  /** Ports with frames waiting. */
  readonly #dirty = new Int32Array(MAX_PORTS)
  #dirtyCount = 0

  /** `dispose` takes every slot back after it was written or dropped. */
  constructor(arena: Arena, stats: Float64Array, dispose: (slot: number) => void) {
    this.#arena = arena
    this.#stats = stats
    this.#dispose = dispose
  }

  add(no: number, port: Port): void {
    this.#queues[no] = { port, slots: new Int32Array(ROOM), n: 0 }
  }

  /** Writes what waits for the port, then has it no more. MTU and state of the number stay, as another may come in its place. */
  remove(no: number): void {
    this.flush()
    this.#queues[no] = undefined
  }

  /** The number is free for another port. */
  forget(no: number): void {
    this.remove(no)
    this.#limits[no] = UNLIMITED
    this.#mtuLimits[no] = UNLIMITED
  }

  has(no: number): boolean {
    return this.#queues[no] !== undefined
  }

  port(no: number): Port | undefined {
    return this.#queues[no]?.port
  }

  /** Interface MTU (without Ethernet header and tags); 0 for no limit. */
  setMtu(no: number, mtu: number): void {
    const limit = mtu > 0 ? mtu + ETH_HLEN : UNLIMITED
    this.#mtuLimits[no] = limit
    if (!this.isDown(no)) this.#limits[no] = limit
  }

  /** Administrative state: frames to a port that is down are dropped. */
  setAdmin(no: number, up: boolean): void {
    this.#limits[no] = up ? this.#mtuLimits[no]! : -1
  }

  isDown(no: number): boolean {
    return this.#limits[no]! < 0
  }

  /** Takes the slot over. The port exists. */
  push(slot: number, no: number): void {
    const meta = this.#arena.meta
    const limit = this.#limits[no]!
    if (meta[slot * META_WORDS + M_LEN]! > limit && (limit < 0 || !this.#fits(slot, limit))) {
      countDrop(this.#stats, no, limit < 0 ? PORT_DOWN : TX_MTU)
      this.#dispose(slot)
      return
    }
    const queue = this.#queues[no]!
    if (queue.n === 0) this.#dirty[this.#dirtyCount++] = no
    queue.slots[queue.n++] = slot
    if (queue.n === ROOM) this.flush()
  }

  /** Writes all that waits. True if there was something. */
  flush(): boolean {
    if (this.#dirtyCount === 0) return false
    for (let i = 0; i < this.#dirtyCount; i++) {
      const queue = this.#queues[this.#dirty[i]!]!
      const n = queue.n
      queue.n = 0
      queue.port.tx(queue.slots, 0, n)
      for (let k = 0; k < n; k++) this.#dispose(queue.slots[k]!)
    }
    this.#dirtyCount = 0
    return true
  }

  /** Writes nothing to the port, if there is one, as it would write something. */
  touch(no: number): void {
    const queue = this.#queues[no]
    if (queue !== undefined) queue.port.tx(queue.slots, 0, 0)
  }

  #fits(slot: number, limit: number): boolean {
    const { bytes, meta } = this.#arena
    const off = meta[slot * META_WORDS + M_OFF]!
    let tags = 0
    for (let at = off + 12; tags < 2; at += 4, tags++) {
      const type = (bytes[at]! << 8) | bytes[at + 1]!
      if (type !== ETH_VLAN && type !== ETH_QINQ) break
    }
    return wireLargest(bytes, meta, slot) <= limit + tags * 4
  }
}
