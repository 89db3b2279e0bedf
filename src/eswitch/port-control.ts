/** Rare commands to an eswitch's worker: its ports come, go and change. Between rounds. */
import type { Intake } from '../port/intake.ts'
import type { Outputs } from '../port/outputs.ts'
import type { EswitchControl, EswitchEvent, EswitchPortOpen } from './control.ts'
import type { Order } from './order.ts'
import type { Stalls } from './stalls.ts'

export interface ControlledParts {
  readonly intake: Intake<EswitchPortOpen>
  readonly outputs: Outputs
  readonly order: Order
  readonly stalls: Stalls
  post(event: EswitchEvent): void
}

export class PortControl {
  readonly #parts: ControlledParts

  constructor(parts: ControlledParts) {
    this.#parts = parts
  }

  handle(message: EswitchControl): void {
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

  #handle(message: EswitchControl): void {
    const { intake, outputs, order, stalls } = this.#parts
    const { no } = message
    switch (message.type) {
      case 'port-add':
        intake.open(no, message.name, message.open)
        outputs.setMtu(no, message.mtu)
        if (message.watch) intake.watch(no)
        break
      case 'port-watch':
        intake.watch(no)
        break
      case 'port-del':
        intake.unwatch(no)
        order.forget(no)
        stalls.forget(no)
        outputs.forget(no)
        break
      case 'port-up':
        intake.rewatch(no)
        break
      case 'port-mtu':
        outputs.setMtu(no, message.mtu)
        break
      case 'port-admin':
        outputs.setAdmin(no, message.up)
    }
  }
}
