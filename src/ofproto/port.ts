/** A port of a bridge, as OpenFlow numbers it. Main thread. */
import type { TunnelConfig } from '../tunnel/contract.ts'
import type { Bridge } from './bridge.ts'
import { type Bundle, type BundleSpec, createBundle } from './bundle.ts'

/** 'dp': has a datapath port. 'patch': joins two bridges, has none. 'tunnel': shares the datapath port of its UDP port with others. */
export type PortKind = 'dp' | 'patch' | 'tunnel'

/** Bits of OpenFlow's port configuration that translation obeys. */
export interface PortFlags {
  /** Never an output (OFPPC_NO_FWD). */
  noForward: boolean
  /** Frames that come in are dropped (OFPPC_NO_RECV). */
  noReceive: boolean
  /** Left out by FLOOD and by NORMAL's flooding, not by ALL (OFPPC_NO_FLOOD). */
  noFlood: boolean
  /** Administratively down (OFPPC_PORT_DOWN): shown; its owner takes the interface down. */
  down: boolean
}

export interface PortSpec extends BundleSpec {
  readonly name: string
  /** Datapath port number; absent for a patch or tunnel port. */
  readonly dpPort?: number
  /** Name of the patch port at the other end. */
  readonly peer?: string
  readonly tunnel?: TunnelConfig
  /** Requested OpenFlow port number, 1..65279. Absent, or taken: the lowest free one. */
  readonly ofport?: number
  readonly mtu?: number
}

export class Port {
  readonly bridge: Bridge
  readonly no: number
  readonly name: string
  readonly kind: PortKind
  /** -1 for a patch or tunnel port. */
  readonly dpPort: number
  readonly flags: PortFlags = { noForward: false, noReceive: false, noFlood: false, down: false }
  linkUp = true
  mtu: number
  /** 48 bits; -1 while not known. Of the bridge's own port it decides what is decapsulated. */
  mac = -1
  /** '' unless a patch port. */
  peer: string
  /** null unless a tunnel port. */
  tunnel: TunnelConfig | null
  bundle: Bundle
  /** Packets and (inner) bytes that crossed a patch or tunnel port; the datapath counts for all other ports. */
  rxPackets = 0
  rxBytes = 0
  txPackets = 0
  txBytes = 0
  /** False once removed. */
  alive = true

  constructor(bridge: Bridge, no: number, spec: PortSpec) {
    this.bridge = bridge
    this.no = no
    this.name = spec.name
    this.kind = spec.tunnel !== undefined ? 'tunnel' : spec.peer === undefined ? 'dp' : 'patch'
    this.dpPort = this.kind === 'dp' ? (spec.dpPort ?? -1) : -1
    this.peer = spec.peer ?? ''
    this.tunnel = spec.tunnel ?? null
    this.mtu = spec.mtu ?? 1500
    this.bundle = createBundle(spec.name, this, spec)
  }
}
