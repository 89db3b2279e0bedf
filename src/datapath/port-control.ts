/** Rare commands to the datapath: ports come, go and change, eswitches are connected and lost. Between rounds. */
import { MAX_PORTS } from '../port/contract.ts'
import { dropIndex } from '../port/drop.ts'
import type { Intake } from '../port/intake.ts'
import type { Outputs } from '../port/outputs.ts'
import { BATCH } from '../port/thread-status.ts'
import type { DatapathControl, DatapathEvent, PortOpen } from './control.ts'
import { EswitchLink, type LinkHandler } from './link.ts'
import type { EswitchLinks } from './links.ts'
import type { Pace } from './pace.ts'
import type { Slots } from './slots.ts'
import type { Waiting } from './waiting.ts'

const WORKER_GONE = dropIndex('worker-gone')

/** The parts of the datapath that commands change. */
export interface ControlledParts {
  readonly slots: Slots
  readonly intake: Intake<PortOpen>
  readonly outputs: Outputs
  readonly links: EswitchLinks
  readonly pace: Pace
  readonly waiting: Waiting
  /** Takes the last frames of an eswitch that is lost. */
  readonly frames: LinkHandler
  post(event: DatapathEvent): void
  signal(eventfd: number): void
}

export class PortControl {
  readonly #parts: ControlledParts

  constructor(parts: ControlledParts) {
    this.#parts = parts
  }

  handle(message: DatapathControl): void {
    let error: string | undefined
    try {
      this.#handle(message)
    } catch (e) {
      error = (e as Error).message
    }
    if ('seq' in message)
      this.#parts.post(
        error === undefined ? { type: 'done', seq: message.seq } : { type: 'done', seq: message.seq, error },
      )
  }

  #handle(message: DatapathControl): void {
    const { links, outputs, intake } = this.#parts
    switch (message.type) {
      case 'port-add':
      case 'adopt':
        this.#open(message.no, message.name, message.open)
        break
      case 'representor-add':
        links.setOwner(message.no, message.owner)
        break
      case 'port-del':
        this.#release(message.no)
        outputs.forget(message.no)
        links.setOwner(message.no, -1)
        break
      case 'release':
        this.#release(message.no)
        break
      case 'port-up':
        intake.rewatch(message.no)
        break
      case 'port-mtu':
        outputs.setMtu(message.no, message.mtu)
        break
      case 'port-admin':
        outputs.setAdmin(message.no, message.up)
        break
      case 'link-attach':
        this.#detach(message.owner)
        links.add(
          new EswitchLink(message.owner, message.up, message.down, this.#parts.slots.pool, () =>
            this.#parts.signal(message.eventfd),
          ),
        )
        break
      case 'link-detach':
        for (const { no, name, open } of message.adopt) this.#adopt(no, name, open)
        this.#detach(message.owner)
    }
  }

  /** A TAP that cannot be polled must not keep the others from it. */
  #adopt(no: number, name: string, open: PortOpen): void {
    try {
      this.#open(no, name, open)
    } catch {
      this.#parts.post({ type: 'port-dead', no })
    }
  }

  #open(no: number, name: string, open: PortOpen): void {
    this.#parts.intake.open(no, name, open)
    if (open.type !== 'none') this.#parts.intake.watch(no)
  }

  #release(no: number): void {
    this.#parts.intake.unwatch(no)
    this.#parts.pace.forget(no)
    this.#parts.outputs.remove(no)
  }

  #detach(owner: number): void {
    const { links, waiting, outputs, slots, frames } = this.#parts
    const link = links.byOwner(owner)
    if (link === undefined) return
    links.remove(link)
    for (let no = 0; no < MAX_PORTS; no++) if (links.ownerOf(no) === owner) waiting.dropGrace(no)
    while (link.fetch() || link.waiting) {
      link.run(frames, () => BATCH)
      outputs.flush()
    }
    link.reclaim((slot) => slots.drop(slot, WORKER_GONE))
  }
}
