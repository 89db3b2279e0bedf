/** The addresses that the underlay's namespace has as its own: what is sent to them may be for a tunnel. Main thread. */
import type { Scheduler } from '../lib/scheduler.ts'
import { IFA_F_OPTIMISTIC, IFA_F_TENTATIVE } from '../netlink/address.ts'
import type { RouteSource } from './route-source.ts'
import { bytesKey } from './way.ts'

export class OwnAddresses {
  readonly #fib: Pick<RouteSource, 'addresses'>
  readonly #scheduler: Scheduler
  readonly #listeners: (() => void)[] = []
  #keys: ReadonlySet<string>
  /** What the listeners have been told of. */
  #told: ReadonlySet<string>
  #stale = false
  #scheduled = false

  constructor(fib: Pick<RouteSource, 'addresses'>, scheduler: Scheduler) {
    this.#fib = fib
    this.#scheduler = scheduler
    this.#keys = this.#read()
    this.#told = this.#keys
  }

  /** 4 or 16 bytes. */
  has(address: Uint8Array): boolean {
    if (this.#stale) {
      this.#stale = false
      this.#keys = this.#read()
    }
    return this.#keys.has(bytesKey(address))
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Addresses may have changed. The listeners hear of it soon, and only if they did. */
  changed(): void {
    this.#stale = true
    if (this.#scheduled) return
    this.#scheduled = true
    this.#scheduler.soon(() => {
      this.#scheduled = false
      this.#stale = false
      this.#keys = this.#read()
      if (this.#keys.size === this.#told.size && [...this.#keys].every((key) => this.#told.has(key))) return
      this.#told = this.#keys
      for (const listener of this.#listeners) listener()
    })
  }

  #read(): ReadonlySet<string> {
    const keys = new Set<string>()
    // Until it is known that nobody else has it, the kernel does not take packets for it (RFC 4862, section 5.4).
    for (const addresses of this.#fib.addresses.values())
      for (const { bytes, flags } of addresses)
        if ((flags & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)) !== IFA_F_TENTATIVE) keys.add(bytesKey(bytes))
    return keys
  }
}
