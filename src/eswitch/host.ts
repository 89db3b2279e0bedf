/** What an eswitch's client needs from outside: the datapath's side of the link, and a worker. DatapathClient fits the first. */
import type { RingMemory } from '../lib/ring.ts'
import type { Arena } from '../packet/slot.ts'
import type { EswitchControl, EswitchEvent, EswitchPortOpen } from './control.ts'
import type { EswitchShared } from './shared.ts'

/** A TAP that tier 2 polls while there is no worker. */
export interface AdoptedPort {
  readonly no: number
  readonly name: string
  readonly open: EswitchPortOpen
}

export interface DatapathSide {
  readonly arena: Arena
  /** The arena's partition of the eswitch. */
  eswitchOwner(name: string): number
  eswitchForget(name: string): void
  attachEswitch(owner: number, up: RingMemory, down: RingMemory, eventfd: number): Promise<void>
  /** The worker is gone: takes what it sent up, gets all slots back, then polls `adopt` itself. */
  detachEswitch(owner: number, adopt: readonly AdoptedPort[]): Promise<void>
  adopt(no: number, name: string, open: EswitchPortOpen): Promise<void>
  release(no: number): Promise<void>
}

/** A running worker, as its client sees it. */
export interface EswitchThread {
  /** That the datapath signals. */
  readonly eventfd: number
  post(message: EswitchControl): void
  wake(): void
  /** Ends the worker, whatever it does. Resolves when it can touch no memory and no descriptor any more; called again, at the same time. */
  terminate(): Promise<void>
}

/** Starts a worker. `receive` gets its events, `gone` is called once if it ends by itself. */
export type EswitchSpawn = (
  shared: EswitchShared,
  receive: (event: EswitchEvent) => void,
  gone: (why: string) => void,
) => EswitchThread
