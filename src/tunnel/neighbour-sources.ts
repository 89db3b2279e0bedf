/** The kernel's neighbours and our own as one source, by whose interface it is. Main thread. */
import type { NeighbourAnswer, NeighbourSource } from './neighbour-source.ts'
import { isOwnIfindex } from './own-port.ts'

export class NeighbourSources implements NeighbourSource {
  readonly #kernel: NeighbourSource
  readonly #own: NeighbourSource

  constructor(kernel: NeighbourSource, own: NeighbourSource) {
    this.#kernel = kernel
    this.#own = own
  }

  lookup(ifindex: number, address: Uint8Array): NeighbourAnswer {
    return this.#of(ifindex).lookup(ifindex, address)
  }

  resolve(ifindex: number, address: Uint8Array): void {
    this.#of(ifindex).resolve(ifindex, address)
  }

  keepAlive(ifindex: number, address: Uint8Array, inUse: boolean): void {
    this.#of(ifindex).keepAlive(ifindex, address, inUse)
  }

  onChange(listener: (ifindex: number, address: Uint8Array) => void): () => void {
    const ends = [this.#kernel.onChange(listener), this.#own.onChange(listener)]
    return () => {
      for (const end of ends) end()
    }
  }

  #of(ifindex: number): NeighbourSource {
    return isOwnIfindex(ifindex) ? this.#own : this.#kernel
  }
}
