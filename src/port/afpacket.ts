/** An attachment to an existing interface by AF_PACKET: the switch reads what arrives there and sends out of it. */
import { KIND_PACKET } from '../native/binding.ts'
import type { Arena } from '../packet/slot.ts'
import { FdPort, type PortFd } from './tap.ts'

export class PacketPort extends FdPort {
  constructor(name: string, no: number, open: PortFd, arena: Arena, stats: Float64Array) {
    super(name, no, KIND_PACKET, open, arena, stats)
  }
}
