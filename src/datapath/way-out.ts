/** Out of a port: written by this thread, or handed to the eswitch whose port a representor stands for. Worker thread. */
import { M_OWNER, META_WORDS } from '../packet/slot.ts'
import { dropIndex } from '../port/drop.ts'
import type { Outputs } from '../port/outputs.ts'
import type { EswitchLinks } from './links.ts'
import type { Slots } from './slots.ts'

const RING_FULL = dropIndex('ring-full')
const NO_PORT = dropIndex('no-port')
const WORKER_GONE = dropIndex('worker-gone')

export class WayOut {
  readonly #meta: Int32Array
  readonly #outputs: Outputs
  readonly #links: EswitchLinks
  readonly #slots: Slots

  constructor(meta: Int32Array, outputs: Outputs, links: EswitchLinks, slots: Slots) {
    this.#meta = meta
    this.#outputs = outputs
    this.#links = links
    this.#slots = slots
  }

  /** Takes the slot over. Hot path. */
  send(slot: number, no: number): void {
    if (this.#outputs.has(no)) {
      this.#outputs.push(slot, no)
      return
    }
    const owner = this.#links.ownerOf(no)
    if (owner < 0) {
      this.#slots.drop(slot, NO_PORT)
      return
    }
    const link = this.#links.byOwner(owner)
    if (link === undefined) {
      this.#slots.dropAt(slot, no, WORKER_GONE)
      return
    }
    if (this.#meta[slot * META_WORDS + M_OWNER] === owner) {
      if (!link.send(slot, no, false)) this.#slots.dropAt(slot, no, RING_FULL)
      return
    }
    if (!link.mayLend(slot)) {
      this.#slots.dropAt(slot, no, RING_FULL)
      return
    }
    const own = this.#slots.toOwn(slot)
    if (own >= 0 && !link.send(own, no, true)) this.#slots.dropAt(own, no, RING_FULL)
  }
}
