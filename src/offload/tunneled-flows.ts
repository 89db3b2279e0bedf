/**
 * Tunnelled flows by their outer addresses: peer, then local address, in order, so that those under a prefix lie side by side. Each endpoint has the flows that send to it and
 * those of packets that come from it; a flow's record says which eswitch offloads it. Keeps the way back to a peer watched while there are flows of the latter kind. Main thread.
 */
import { sameAddress } from '../flow/address.ts'
import type { TunnelView } from '../tunnel/contract.ts'
import type { WayIn } from './checks/contract.ts'
import { addressKey } from './endpoint.ts'
import { FlowBag } from './flow-bag.ts'
import { type FlowRecord, NOWHERE } from './record.ts'

export interface Endpoint {
  readonly peer: Uint8Array
  /** Absent while there is no route to the peer. */
  readonly local?: Uint8Array
  /** Flows that encapsulate for it. */
  readonly encap: ReadonlySet<FlowRecord>
  /** Flows of packets from it, by the datapath port of their tunnel. */
  readonly decap: ReadonlyMap<number, Iterable<FlowRecord> & { readonly size: number }>
  /** What is known of the way by which those enter, by the same port; whoever learns that it may be another one clears it. */
  readonly waysIn: Map<number, WayIn | undefined>
}

class Node implements Endpoint {
  readonly key: string
  readonly hash: number
  readonly peer: Uint8Array
  readonly local?: Uint8Array
  readonly encap = new Set<FlowRecord>()
  readonly decap = new Map<number, FlowBag>()
  readonly waysIn = new Map<number, WayIn | undefined>()

  /** Of a flow that has to do with this endpoint alone, as nearly all. */
  readonly alone: readonly Node[] = [this]

  constructor(hash: number, peer: Uint8Array, local: Uint8Array | undefined) {
    this.key = `${addressKey(peer)} ${local ? addressKey(local) : ''}`
    this.hash = hash
    this.peer = peer
    if (local) this.local = local
  }

  is(peer: Uint8Array, local: Uint8Array | undefined): boolean {
    return sameAddress(this.peer, peer) && sameAddress(this.local, local)
  }

  get empty(): boolean {
    return this.encap.size === 0 && this.decap.size === 0
  }
}

/** What the structure tells when the first flow from a peer comes and when the last one goes. */
export type Watcher = Pick<TunnelView, 'watch' | 'unwatch'>

const hashOf = (peer: Uint8Array, local: Uint8Array | undefined): number => {
  let h = peer.length
  for (let i = 0; i < peer.length; i++) h = Math.imul(h ^ peer[i]!, 0x9e3779b1) ^ (h >>> 15)
  if (local) for (let i = 0; i < local.length; i++) h = Math.imul(h ^ local[i]!, 0x9e3779b1) ^ (h >>> 15)
  return h
}

/** The first or the last address of a prefix. */
const edge = (prefix: Uint8Array, length: number, fill: 0 | 1): Uint8Array =>
  prefix.map((byte, i) => {
    const bits = Math.min(8, Math.max(0, length - i * 8))
    const open = 0xff >> bits
    return fill ? byte | open : byte & ~open
  })

export class TunneledFlows {
  readonly #sorted: Node[] = []
  readonly #byHash = new Map<number, Node[]>()
  #size = 0
  #watcher: Watcher | undefined

  /** Has the peers that are there already watched, and those that come. */
  watchBy(watcher: Watcher): void {
    this.#watcher = watcher
    for (const node of this.#sorted) if (node.decap.size > 0) watcher.watch(node.peer, node.local)
  }

  /** `decap`: the datapath port of the tunnel by which the flow's packets come; absent, the flow encapsulates. */
  tunneledFlowAdd(record: FlowRecord, peer: Uint8Array, local: Uint8Array | undefined, decap?: number): void {
    const node = this.#node(peer, local)
    if (decap === undefined) node.encap.add(record)
    else {
      if (node.decap.size === 0) this.#watcher?.watch(node.peer, node.local)
      let flows = node.decap.get(decap)
      if (!flows) {
        flows = new FlowBag('decapAt')
        node.decap.set(decap, flows)
      }
      flows.add(record)
    }
    const { endpoints } = record
    if (endpoints.length === 0) {
      record.endpoints = node.alone
      this.#size++
    } else if (!endpoints.includes(node)) record.endpoints = [...endpoints, node]
  }

  /** Wherever it is. */
  tunneledFlowDel(record: FlowRecord): void {
    if (record.endpoints.length === 0) return
    for (const node of record.endpoints as readonly Node[]) {
      node.encap.delete(record)
      const watched = node.decap.size > 0
      for (const [port, flows] of node.decap) if (flows.delete(record) && flows.size === 0) node.decap.delete(port)
      if (watched && node.decap.size === 0) this.#watcher?.unwatch(node.peer, node.local)
      if (node.empty) this.#remove(node)
    }
    record.endpoints = NOWHERE
    this.#size--
  }

  /** The endpoint that a flow's packets come from. */
  origin(record: FlowRecord): Endpoint | undefined {
    const endpoints = record.endpoints as readonly Node[]
    for (let i = 0; i < endpoints.length; i++)
      if (endpoints[i]!.decap.get(record.inPort)?.has(record)) return endpoints[i]
    return undefined
  }

  /** Flows in the structure. */
  get size(): number {
    return this.#size
  }

  get endpoints(): number {
    return this.#sorted.length
  }

  /** In the order of addresses, IPv6 after IPv4. */
  all(): Iterable<Endpoint> {
    return this.#sorted
  }

  /** Those of one peer; without `local`, with all our addresses. */
  of(peer: Uint8Array, local?: Uint8Array): Iterable<Endpoint> {
    if (!local) return this.under(peer, peer.length * 8)
    const node = this.#find(hashOf(peer, local), peer, local)
    return node ? [node] : []
  }

  /** Those whose peer lies under a prefix: `length` bits of an address of 4 or 16 bytes. */
  *under(prefix: Uint8Array, length: number): Generator<Endpoint> {
    const last = `${addressKey(edge(prefix, length, 1))}~`
    for (let i = this.#lowerBound(addressKey(edge(prefix, length, 0))); i < this.#sorted.length; i++) {
      const node = this.#sorted[i]!
      if (node.key > last) return
      yield node
    }
  }

  #node(peer: Uint8Array, local: Uint8Array | undefined): Node {
    const hash = hashOf(peer, local)
    const known = this.#find(hash, peer, local)
    if (known) return known
    const node = new Node(hash, peer, local)
    const others = this.#byHash.get(hash)
    if (others) others.push(node)
    else this.#byHash.set(hash, [node])
    this.#sorted.splice(this.#lowerBound(node.key), 0, node)
    return node
  }

  #find(hash: number, peer: Uint8Array, local: Uint8Array | undefined): Node | undefined {
    return this.#byHash.get(hash)?.find((node) => node.is(peer, local))
  }

  #remove(node: Node): void {
    const others = this.#byHash.get(node.hash)!.filter((other) => other !== node)
    if (others.length > 0) this.#byHash.set(node.hash, others)
    else this.#byHash.delete(node.hash)
    this.#sorted.splice(this.#lowerBound(node.key), 1)
  }

  /** Index of the first node that is not before `key`. */
  #lowerBound(key: string): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#sorted[middle]!.key < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
