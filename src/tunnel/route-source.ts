/** What the tunnel layer reads of the mirror of the kernel's forwarding (fib.ts): routes as values, our addresses, and the news of both. Main thread. */
import type { FibChange, FibQuery, FibResult } from './fib-contract.ts'

/** What is read of an address of ours. */
export interface OwnAddress {
  readonly bytes: Uint8Array
  /** IFA_F_*. */
  readonly flags: number
}

export interface RouteSource {
  lookup(query: FibQuery): FibResult
  /** By ifindex. */
  readonly addresses: ReadonlyMap<number, readonly OwnAddress[]>
  /** Has `listener` called from within each event; it may only note it. Returns how to end that. */
  on(listener: (change: FibChange) => void): () => void
}
