/**
 * Which tunnel port a received packet belongs to, and which UDP ports tunnels use. Main thread.
 *
 * Open vSwitch's order (ofproto/tunnel.c): a port with a key of its own before one whose key is the flow's matter; then one with a fixed remote address before one that
 * takes any; then a fixed local address, none, the flow's. So each port has one of 12 kinds, and a look-up asks for each kind that is in use once.
 */
import { addressToWords } from '../flow/address.ts'
import { K_IN_PORT, K_TUN_DST, K_TUN_ID, K_TUN_SRC } from '../flow/key.ts'
import type { TunnelConfig } from './contract.ts'

/** The UDP ports of tunnels and their datapath ports (kind 'vxlan'), both ways. */
export interface TunnelPortNumbers {
  dpPort(udpPort: number): number | undefined
  udpPort(dpPort: number): number | undefined
}

/** One row of `tnl/ports/show`. */
export interface ListeningPort {
  /** 'vxlan_sys_4789', as Open vSwitch calls it. */
  readonly name: string
  readonly udpPort: number
  /** Datapath port number; absent while there is none. */
  readonly dpPort?: number
  /** Tunnel ports that share it. */
  readonly ports: number
}

/** The options of another port say the same of received packets. */
export interface TunnelConflict<H> {
  readonly error: 'EEXIST'
  /** "tunnel options equal those of another port: file exists". */
  readonly message: string
  readonly port: H
}

/** The words of a key by which a packet's port is found. */
const ASKED = [K_IN_PORT, K_TUN_ID, K_TUN_ID + 1, ...[0, 1, 2, 3].flatMap((i) => [K_TUN_SRC + i, K_TUN_DST + i])]

const KINDS = 12
const LOCAL_FIXED = 0
const LOCAL_ANY = 1
const LOCAL_FLOW = 2

const kindOf = ({ key, remote, local }: TunnelConfig): number =>
  (key === 'flow' ? 6 : 0) +
  (remote === 'flow' ? 3 : 0) +
  (local === 'flow' ? LOCAL_FLOW : local === undefined ? LOCAL_ANY : LOCAL_FIXED)

const keyWords = (key: Int32Array, at: number): string => `${key[at]},${key[at + 1]},${key[at + 2]},${key[at + 3]}`
const addressId = (address: Uint8Array): string => {
  const words = new Int32Array(4)
  addressToWords(address, words, 0)
  return keyWords(words, 0)
}

const idOf = (vni: number | '', remote: string, local: string, udpPort: number): string =>
  `${udpPort} ${vni} ${remote} ${local}`

const configId = ({ key = 0, remote, local, dstPort }: TunnelConfig): string =>
  idOf(
    key === 'flow' ? '' : key,
    remote === 'flow' ? '' : addressId(remote),
    local === 'flow' || local === undefined ? '' : addressId(local),
    dstPort,
  )

/** `H`: what the user calls a port. One handle, one port. */
export class TunnelPorts<H> implements TunnelPortNumbers {
  readonly #kinds: Map<string, H>[] = Array.from({ length: KINDS }, () => new Map())
  readonly #configs = new Map<H, TunnelConfig>()
  /** Tunnel ports by UDP port. */
  readonly #uses = new Map<number, number>()
  readonly #dpPorts = new Map<number, number>()
  readonly #udpPorts = new Map<number, number>()
  /** The question that was answered last, as words, and the answer; empty when that may be another one. Mostly the next packet asks the same. */
  readonly #asked = new Int32Array(ASKED.length)
  #answered: { readonly port: H | undefined } | undefined

  /** Undefined when it is done; a conflict changes nothing. */
  add(config: TunnelConfig, port: H): TunnelConflict<H> | undefined {
    if (this.#configs.has(port)) throw new Error('the tunnel port is there already: remove it first')
    const kind = this.#kinds[kindOf(config)]!
    const id = configId(config)
    const other = kind.get(id)
    if (other !== undefined) {
      const message = 'tunnel options equal those of another port: file exists'
      return { error: 'EEXIST', message, port: other }
    }
    kind.set(id, port)
    this.#answered = undefined
    this.#configs.set(port, config)
    this.#uses.set(config.dstPort, (this.#uses.get(config.dstPort) ?? 0) + 1)
    return undefined
  }

  /** True if it was there. */
  remove(port: H): boolean {
    const config = this.#configs.get(port)
    if (!config) return false
    this.#configs.delete(port)
    this.#answered = undefined
    this.#kinds[kindOf(config)]!.delete(configId(config))
    const uses = this.#uses.get(config.dstPort)! - 1
    if (uses > 0) this.#uses.set(config.dstPort, uses)
    else this.#uses.delete(config.dstPort)
    return true
  }

  config(port: H): TunnelConfig | undefined {
    return this.#configs.get(port)
  }

  /** The port that takes a packet with this key: K_IN_PORT is a datapath port, the K_TUN_* words are as received. */
  lookup(key: Int32Array): H | undefined {
    const asked = this.#asked
    let same = 0
    while (same < ASKED.length && asked[same] === key[ASKED[same]!]) same++
    if (this.#answered !== undefined && same === ASKED.length) return this.#answered.port
    for (let i = 0; i < ASKED.length; i++) asked[i] = key[ASKED[i]!]!
    const port = this.#find(key)
    this.#answered = { port }
    return port
  }

  #find(key: Int32Array): H | undefined {
    const udpPort = this.#udpPorts.get(key[K_IN_PORT]!)
    if (udpPort === undefined) return undefined
    // A tunnel id beyond 32 bits is none of VXLAN's.
    const vni = key[K_TUN_ID] === 0 ? key[K_TUN_ID + 1]! >>> 0 : -1
    const remote = keyWords(key, K_TUN_SRC)
    const local = keyWords(key, K_TUN_DST)
    for (let kind = 0; kind < KINDS; kind++) {
      const ports = this.#kinds[kind]!
      if (ports.size === 0) continue
      const found = ports.get(
        idOf(kind < 6 ? vni : '', kind % 6 < 3 ? remote : '', kind % 3 === LOCAL_FIXED ? local : '', udpPort),
      )
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Whether any tunnel port listens there. */
  uses(udpPort: number): boolean {
    return this.#uses.has(udpPort)
  }

  /** UDP ports in use, ascending. */
  udpPorts(): number[] {
    return [...this.#uses.keys()].sort((a, b) => a - b)
  }

  /** From the wiring: the datapath port of a UDP port; undefined: it has none any more. */
  setDpPort(udpPort: number, dpPort: number | undefined): void {
    this.#answered = undefined
    const old = this.#dpPorts.get(udpPort)
    if (old !== undefined) this.#udpPorts.delete(old)
    if (dpPort === undefined) this.#dpPorts.delete(udpPort)
    else {
      this.#dpPorts.set(udpPort, dpPort)
      this.#udpPorts.set(dpPort, udpPort)
    }
  }

  dpPort(udpPort: number): number | undefined {
    return this.#dpPorts.get(udpPort)
  }

  udpPort(dpPort: number): number | undefined {
    return this.#udpPorts.get(dpPort)
  }

  /** For `tnl/ports/show`, by UDP port. */
  listening(): ListeningPort[] {
    return this.udpPorts().map((udpPort) => {
      const dpPort = this.#dpPorts.get(udpPort)
      const ports = this.#uses.get(udpPort)!
      return { name: `vxlan_sys_${udpPort}`, udpPort, ports, ...(dpPort === undefined ? {} : { dpPort }) }
    })
  }

  /** All ports with their options, in the order in which they were added. */
  entries(): Iterable<readonly [H, TunnelConfig]> {
    return this.#configs
  }
}
