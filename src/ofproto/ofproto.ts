/**
 * Tier 1's model of the switch: bridges over one datapath. It knows which bridge owns a datapath port, and when something changed that translations
 * depend on. Main thread.
 */
import { K_IN_PORT } from '../flow/key.ts'
import { SharedWords } from '../flow/shared-words.ts'
import type { Clock } from '../lib/clock.ts'
import { CodedError } from '../lib/errors.ts'
import { Generation } from '../lib/generation.ts'
import { ActionLists } from './action-lists.ts'
import { Bridge, type BridgeHost, type BridgeOptions } from './bridge.ts'
import { EffectLists } from './effect-lists.ts'
import type { Port } from './port.ts'
import { XlateMemory } from './translate/context.ts'
import { Tunnels } from './tunnels.ts'

export interface NewBridge extends BridgeOptions {
  /** False for a bridge that gets rules of its own: it starts with none, and drops. Default true: one NORMAL rule. */
  readonly normal?: boolean
}

export class Ofproto {
  readonly tunnels: Tunnels
  /** For decide.ts: translations of cached flows, one after the other, and what the flows share of them. */
  readonly memory = new XlateMemory()
  readonly masks = new SharedWords()
  readonly lists = new ActionLists()
  readonly effectLists = new EffectLists()
  readonly #bridges = new Map<string, Bridge>()
  readonly #byName = new Map<string, Port>()
  readonly #byDp = new Map<number, Port>()
  readonly #changes = new Generation()
  readonly #host: BridgeHost

  constructor(clock: Clock) {
    this.tunnels = new Tunnels(() => this.#changes.bump())
    this.#host = {
      clock,
      tunnels: this.tunnels,
      changed: () => this.#changes.bump(),
      claim: (port) => this.#claim(port),
      release: (port) => this.#release(port),
      findPort: (name) => this.#byName.get(name),
    }
  }

  /** Counts changes of rules, ports, options and learned addresses, over all bridges. */
  get version(): number {
    return this.#changes.value
  }

  /** Has `listener` called after each change; it may only note it. Returns how to end that. */
  onChange(listener: () => void): () => void {
    return this.#changes.onBump(listener)
  }

  addBridge(name: string, { normal = true, ...options }: NewBridge = {}): Bridge {
    if (this.#bridges.has(name)) throw new CodedError('EEXIST', `bridge ${name} exists already`)
    const bridge = new Bridge(name, this.#host, options, normal)
    this.#bridges.set(name, bridge)
    return bridge
  }

  deleteBridge(name: string): void {
    const bridge = this.#bridges.get(name)
    if (bridge === undefined) throw new CodedError('ENODEV', `there is no bridge ${name}`)
    bridge.close()
    this.#bridges.delete(name)
    this.#changes.bump()
  }

  bridges(): Iterable<Bridge> {
    return this.#bridges.values()
  }

  bridge(name: string): Bridge | undefined {
    return this.#bridges.get(name)
  }

  /** The owner of a datapath port. Those of tunnels belong to several: see `receiver`. */
  portByDp(no: number): Port | undefined {
    return this.#byDp.get(no)
  }

  /**
   * The port by which a packet with this key came (K_IN_PORT a datapath port). 'unknown-vni': a tunnel's packet that no tunnel port takes. undefined: nobody owns
   * the datapath port.
   */
  receiver(key: Int32Array): Port | 'unknown-vni' | undefined {
    const owner = this.#byDp.get(key[K_IN_PORT]!)
    if (owner !== undefined || !this.tunnels.isPopPort(key[K_IN_PORT]!)) return owner
    return this.tunnels.ports.lookup(key) ?? 'unknown-vni'
  }

  portByName(name: string): Port | undefined {
    return this.#byName.get(name)
  }

  #claim(port: Port): void {
    const other = this.#byName.get(port.name)
    if (other) throw new CodedError('EEXIST', `port ${port.name} exists already, on bridge ${other.bridge.name}`)
    if (port.kind === 'dp') {
      if (port.dpPort < 0) throw new CodedError('EINVAL', `port ${port.name} has neither a datapath port nor a peer`)
      const owner = this.#byDp.get(port.dpPort)
      if (owner)
        throw new CodedError('EEXIST', `port ${port.name}: datapath port ${port.dpPort} belongs to ${owner.name}`)
      this.#byDp.set(port.dpPort, port)
    }
    if (port.tunnel !== null) this.tunnels.add(port, port.tunnel)
    this.#byName.set(port.name, port)
  }

  #release(port: Port): void {
    this.#byName.delete(port.name)
    if (port.kind === 'dp') this.#byDp.delete(port.dpPort)
    if (port.kind === 'tunnel') this.tunnels.remove(port)
  }
}
