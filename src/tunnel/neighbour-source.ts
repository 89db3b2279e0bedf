/**
 * Who lives at a next hop: the contract between the tunnel layer and whoever keeps neighbours, be it the kernel (kernel-neighbours.ts) or ARP and neighbour
 * discovery of our own, for interfaces that the host's stack does not own. Main thread.
 *
 * Nothing here waits, and "not yet" is a value. The provider decides how often it asks, when it gives up, and when it asks again; the user says for which
 * next hops packets want to go (`resolve`) and which ones flows depend on (`keepAlive`), of which tier 3 may carry every packet, unseen by anybody else.
 */

export type NeighbourAnswer =
  /** May be sent to. `lladdr`: 6 bytes. */
  | { readonly type: 'found'; readonly lladdr: Uint8Array }
  /** Being asked for. */
  | { readonly type: 'pending' }
  /** It did not answer, or cannot be asked. Stays so while it is asked again, until it answers. */
  | { readonly type: 'failed' }
  /** Unknown, and nobody asks. */
  | { readonly type: 'none' }

export interface NeighbourSource {
  /** Ifindex; 4 or 16 bytes. */
  lookup(ifindex: number, address: Uint8Array): NeighbourAnswer
  /**
   * Packets want to go there: asks, unless it is known or being asked for. May be called for every packet; the provider limits the rate, for one next hop and
   * over all. After it `lookup` says 'pending' at least, unless a failure is so recent that it stands.
   */
  resolve(ifindex: number, address: Uint8Array): void
  /**
   * While in use a next hop is kept valid: confirmed anew when it grows old, asked for when it goes, and asked for again with growing pauses after a failure. To be
   * called when the use begins and when it ends; not counted.
   */
  keepAlive(ifindex: number, address: Uint8Array, inUse: boolean): void
  /**
   * Calls back, from within the event, whenever `lookup` answers differently for a next hop; calls without a difference are allowed. The listener may only note it. Returns
   * how to end that.
   */
  onChange(listener: (ifindex: number, address: Uint8Array) => void): () => void
}

export const sameNeighbour = (a: NeighbourAnswer, b: NeighbourAnswer): boolean => {
  if (a.type !== 'found' || b.type !== 'found') return a.type === b.type
  for (let i = 0; i < 6; i++) if (a.lladdr[i] !== b.lladdr[i]) return false
  return true
}
