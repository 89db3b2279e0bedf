/** The rig with tunnels: a tunnel layer that is set by hand, encap entries, flows of outer and inner packets. */
import type { Eswitch } from '../../../src/eswitch/contract.ts'
import { addressBytes, addressToWords } from '../../../src/flow/address.ts'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { LOST_NO_ROUTE } from '../../../src/flow/execute.ts'
import {
  createKey,
  K_DL_TYPE,
  K_IN_PORT,
  K_NW_DST,
  K_NW_SRC,
  K_TP,
  K_TUN_DST,
  K_TUN_ID,
  K_TUN_SRC,
  type Match,
} from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import type { OffloadOptions } from '../../../src/offload/module.ts'
import type { IngressResult, TunnelCause, TunnelObserver, TunnelView } from '../../../src/tunnel/contract.ts'
import { createRig, type FakeEswitch, matchOf, output } from './fakes.ts'

/** nic0: p0 3, p1 7. nic1: p2 8. The tunnel: 6. */
export const [P0, P1, P2, VXLAN] = [3, 7, 8, 6]
export const LOCAL = '192.168.0.1'

export const ip = (text: string): Uint8Array => addressBytes(text)!
export const push = (entry: number): OdpAction => ({ type: 'tnl_push', entry })
export const POP: OdpAction = { type: 'tnl_pop', port: VXLAN }

export const entryOf = (id: number, peer: string, over: Partial<EncapEntry> = {}): EncapEntry => {
  const reason = over.reason ?? 'valid'
  const usable = reason === 'valid' || reason === 'underlay-ambiguous'
  return {
    id,
    state: usable ? 'ready' : reason === 'neighbour-pending' ? 'pending' : 'drop',
    reason,
    detail: reason === 'valid' ? '' : `${peer}: ${reason}`,
    lost: LOST_NO_ROUTE,
    nextHop: 0,
    flags: 0,
    version: ip(peer).length === 4 ? 4 : 6,
    header: new Uint8Array(ip(peer).length === 4 ? 50 : 70),
    mtu: 0,
    actions: usable ? [output(P0)] : [],
    peer: ip(peer),
    ...(reason === 'no-route' ? {} : { local: ip(LOCAL) }),
    tunnelPort: VXLAN,
    underlayPort: 9,
    generation: 0,
    ...over,
  }
}

/** A flow of packets that came out of the tunnel. */
export const innerMatch = (peer: string, dst = 0): Match =>
  matchOf(VXLAN, dst, (match) => {
    for (const [at, address] of [
      [K_TUN_SRC, peer],
      [K_TUN_DST, LOCAL],
    ] as const) {
      addressToWords(ip(address), match.key, at)
      match.mask.fill(-1, at, at + 4)
    }
    match.key[K_TUN_ID + 1] = 100
    match.mask[K_TUN_ID + 1] = -1
  })

/** Key of an outer packet. */
export const outerKey = (peer: string, port: number): Int32Array => {
  const key = createKey()
  key[K_IN_PORT] = port
  key[K_DL_TYPE] = 0x08000000
  key[K_NW_SRC] = new DataView(ip(peer).buffer).getInt32(0)
  key[K_NW_DST] = new DataView(ip(LOCAL).buffer).getInt32(0)
  key[K_TP] = 4789
  return key
}

/** `peer` absent: from anybody. */
export const outerMatch = (port: number, peer?: string): Match =>
  matchOf(port, 0, (match) => {
    match.mask[K_DL_TYPE] = 0xffff0000 | 0
    match.key[K_DL_TYPE] = 0x08000000
    match.key[K_NW_DST] = outerKey(LOCAL, port)[K_NW_DST]!
    match.mask[K_NW_DST] = -1
    match.key[K_TP] = 4789
    match.mask[K_TP] = 0xffff
    if (peer === undefined) return
    match.key[K_NW_SRC] = outerKey(peer, port)[K_NW_SRC]!
    match.mask[K_NW_SRC] = -1
  })

const textOf = (address: Uint8Array | undefined): string => (address ? Buffer.from(address).toString('hex') : '')

export class FakeTunnels implements TunnelView {
  readonly watched = new Map<string, number>()
  /** By peer: the ports by which its packets enter, or why that is not known. */
  readonly ways = new Map<string, readonly number[] | Extract<IngressResult, { type: 'none' }>['check']>()
  observer!: TunnelObserver
  #at = 0

  watch(peer: Uint8Array, local: Uint8Array | undefined): void {
    const key = `${textOf(peer)} ${textOf(local)}`
    this.watched.set(key, (this.watched.get(key) ?? 0) + 1)
  }

  unwatch(peer: Uint8Array, local: Uint8Array | undefined): void {
    const key = `${textOf(peer)} ${textOf(local)}`
    const left = (this.watched.get(key) ?? 0) - 1
    if (left < 0) throw new Error(`${key} is not watched`)
    if (left === 0) this.watched.delete(key)
    else this.watched.set(key, left)
  }

  ingress(peer: Uint8Array): IngressResult {
    const text = peer.join('.')
    const way = this.ways.get(text) ?? 'no-route'
    if (typeof way === 'string') return { type: 'none', check: way, detail: `${text}: ${way}` }
    return { type: 'found', members: way.map((port) => ({ port, key: outerKey(text, port) })) }
  }

  udpPort(dpPort: number): number | undefined {
    return dpPort === VXLAN ? 4789 : undefined
  }

  observe(observer: TunnelObserver): void {
    this.observer = observer
  }

  /** One piece of work. */
  event(text: string, work: () => void, examined = 1, at = this.#at++): void {
    const cause: TunnelCause = { kind: 'route', text, at }
    this.observer.begin(cause)
    work()
    this.observer.end(cause, examined)
  }

  /** The way of a peer's packets is another one now. */
  move(peer: string, way: readonly number[] | Extract<IngressResult, { type: 'none' }>['check']): void {
    this.ways.set(peer, way)
    this.observer.moved(ip(peer), ip(LOCAL))
  }
}

export const createTunnelRig = (
  options: {
    tableSize?: number
    attached?: boolean
    profile?: Record<string, unknown>
    offload?: Partial<OffloadOptions>
  } = {},
) => {
  const profile = { 'table-size': options.tableSize ?? 4000, ...options.profile }
  const rig = createRig({ ...options, profile, profile1: profile })
  const { dpif, nic0, nic1, module, put, scheduler, stats, clock } = rig
  const port = (no: number, name: string, eswitch: FakeEswitch): void => {
    dpif.portList.set(no, { no, name, kind: 'representor', eswitch: eswitch.name })
    eswitch.members.add(no)
  }
  port(P1, 'p1', nic0)
  port(P2, 'p2', nic1)
  dpif.portList.set(VXLAN, { no: VXLAN, name: 'vxlan_4789', kind: 'vxlan' })
  const view = new FakeTunnels()
  const mtus = new Map<number, number>()
  /** Keys for which a flow was asked for, and what the test answers: puts nothing unless told. */
  const asked: Int32Array[] = []
  const tier1: { preinstall: (key: Int32Array) => boolean } = { preinstall: () => false }
  const attach = (): void =>
    module.attachTunnels({
      view,
      mtu: (no) => mtus.get(no) ?? 0,
      preinstall: (key) => {
        asked.push(key)
        return tier1.preinstall(key)
      },
    })
  if (options.attached !== false) attach()
  const entry = (id: number, peer: string, over: Partial<EncapEntry> = {}): void =>
    module.encapPut(entryOf(id, peer, over))
  /** Promises and slices until nothing moves. */
  const rest = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) {
      scheduler.drain()
      for (let k = 0; k < 5; k++) await Promise.resolve()
    }
  }
  const rulesIn = (eswitch: Eswitch): number => [...eswitch.ruleIds()].length
  return { ...rig, put, stats, clock, view, mtus, asked, attach, tier1, entry, rest, rulesIn }
}
