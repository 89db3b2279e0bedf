/** The eswitches that the datapath is connected to, and which representor stands for a port of which. */
import { MAX_PORTS } from '../port/contract.ts'
import type { EswitchLink } from './link.ts'

export class EswitchLinks {
  readonly all: EswitchLink[] = []
  /** By owner. */
  readonly #byOwner: (EswitchLink | undefined)[] = []
  /** By port number: partition of the eswitch that a representor stands for, -1 for other ports. */
  readonly #ownerOf = new Int32Array(MAX_PORTS).fill(-1)

  add(link: EswitchLink): void {
    this.#byOwner[link.owner] = link
    this.all.push(link)
  }

  remove(link: EswitchLink): void {
    this.#byOwner[link.owner] = undefined
    this.all.splice(this.all.indexOf(link), 1)
  }

  byOwner(owner: number): EswitchLink | undefined {
    return this.#byOwner[owner]
  }

  /** `owner` -1: the port is no representor (any more). */
  setOwner(port: number, owner: number): void {
    this.#ownerOf[port] = owner
  }

  /** Partition of the port's eswitch; -1 for ports that are on none. Any number may be asked for. */
  ownerOf(port: number): number {
    return port >= 0 && port < MAX_PORTS ? this.#ownerOf[port]! : -1
  }

  ofPort(port: number): EswitchLink | undefined {
    return this.#byOwner[this.#ownerOf[port]!]
  }
}
