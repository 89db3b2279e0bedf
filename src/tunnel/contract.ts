/**
 * The tunnel layer's contracts: what ofproto asks of it, what it asks of ofproto, and what offload sees of it. Main thread.
 *
 * A *tunnel port* is a port of a bridge with remote and local address and key, each fixed or 'flow'. An output to one becomes `tnl_push` of an *encap entry*
 * (flow/encap.ts), which this layer keeps true to the kernel's routes and neighbours and to the underlay bridge's rules. Decapsulated packets come by the datapath
 * port of their UDP port; which tunnel port that is, the classifier says.
 */
import type { EncapEntry } from '../flow/encap.ts'
import type { OdpAction } from '../flow/odp.ts'

/** A tunnel port's options, as in ovs-vsctl's `options:` of type vxlan. Addresses have 4 or 16 bytes. */
export interface TunnelConfig {
  /** 'flow': the rule sets tun_dst. */
  readonly remote: Uint8Array | 'flow'
  /** Absent: any of ours; the kernel chooses the source. 'flow': the rule sets tun_src. */
  readonly local?: Uint8Array | 'flow'
  /** VNI 0..16777215; absent: 0, as in Open vSwitch. 'flow': the rule sets tun_id. */
  readonly key?: number | 'flow'
  /** UDP port, 4789 unless set. */
  readonly dstPort: number
  /** DSCP and, where the inner packet is no IP, ECN; 0 unless set. */
  readonly tos: number | 'inherit'
  /** 64 unless set. */
  readonly ttl: number | 'inherit'
  readonly df: boolean
  /** Outer UDP checksum. Unless set: none over IPv4, there over IPv6. */
  readonly csum?: boolean
}

/** What one packet's tunnel header is made from: the port's configuration with the flow's tun_* fields filled in. Equal ones share an entry. */
export interface EncapSpec {
  readonly peer: Uint8Array
  readonly local?: Uint8Array
  readonly vni: number
  readonly dstPort: number
  readonly tos: number | 'inherit'
  readonly ttl: number | 'inherit'
  readonly df: boolean
  readonly csum: boolean
  /** This very object is asked for again and again, and may be known by itself. */
  readonly lasting?: true
}

/** What ofproto asks of this layer. */
export interface TunnelLayer {
  /**
   * The id of the entry for such packets, made if need be. `resolve`: packets want to go, so the next hop is asked for. An entry that nobody holds goes after a while. -1: there
   * are too many.
   */
  encap(spec: EncapSpec, resolve: boolean): number
  entry(id: number): EncapEntry | undefined
  /** A cached flow names the entry, or no longer does. */
  hold(id: number): void
  release(id: number): void
  /** Packets that the entry's flows have carried, with inner bytes: counts for the underlay's rules and addresses, and tells that the next hop is in use. */
  credit(id: number, packets: number, bytes: number, used: number): void
  /** Something changed in ofproto: every entry's underlay actions are looked at again, those that differ are put. */
  revalidate(): void
  /** True if the namespace of the underlay has this address (4 or 16 bytes) as its own. */
  isLocal(address: Uint8Array): boolean
  /** Called when `isLocal` may answer differently. */
  onLocalChange(listener: () => void): void
}

/** An interface of the underlay's namespace that is a bridge's internal port. */
export interface UnderlayPort {
  /** Name of bridge and interface. */
  readonly name: string
  /** Datapath port number. */
  readonly dpPort: number
  readonly ifindex: number
  readonly mac: Uint8Array
  readonly mtu: number
  readonly up: boolean
}

/** What the underlay bridge does with an outer packet that its host sends. */
export interface UnderlayWay {
  readonly actions: readonly OdpAction[]
  /** The translation looked at something that differs between packets of one entry (UDP source port, inherited TOS or TTL): by `reenter` only. */
  readonly ambiguous: boolean
  /** Why it is dropped, if it is: the reason of a `drop` action, or 'tunnel-loop'. */
  readonly dropped?: string
  /** VLAN tag with which it leaves, as a key word (flow/key.ts, K_VLAN0), 0 for none; of the last output. */
  readonly vlan: number
  /** Counts packets and outer bytes for the rules and addresses that it used. */
  credit(packets: number, bytes: number, used: number): void
}

/** What this layer asks of ofproto. */
export interface UnderlayTranslator {
  /**
   * Translates as if `port`'s host had sent a packet with this key (flow/key.ts layout; K_IN_PORT is filled in). `varying`: mask of the bits that differ between packets of one
   * entry. `learn`: a packet is about to go.
   */
  translate(port: UnderlayPort, key: Int32Array, varying: Int32Array, learn: boolean): UnderlayWay
}

/** The internal ports by interface; kept by the wiring. */
export interface UnderlayPorts {
  byIfindex(ifindex: number): UnderlayPort | undefined
  /** Called when a port came, went, or has other properties. */
  onChange(listener: (ifindex: number) => void): void
}

/**
 * Internal ports that no host's stack owns: bridges do ARP and neighbour discovery for them (own-stack.ts), and tier 1 hands them the frames. Ports are datapath port numbers,
 * addresses have 4 or 16 bytes.
 */
export interface StacklessPorts {
  has(port: number): boolean
  /** The address is the port's own. */
  owns(port: number, address: Uint8Array): boolean
  /** What the neighbour with this address says of itself matters. */
  knows(port: number, address: Uint8Array): boolean
  /** A frame with ARP or neighbour discovery. `checked`: its checksum need not be looked at. */
  receive(port: number, frame: Uint8Array, checked: boolean): void
  /** Called when `has`, `owns` or `knows` may answer true to more than before. */
  onChange(listener: () => void): void
}

/** What set something off, for people and for `offload/events`. */
export interface TunnelCause {
  readonly kind: 'route' | 'rule' | 'address' | 'link' | 'neighbour' | 'mtu' | 'bridge' | 'resync'
  /** '10.0.0.2/32', '192.168.0.2 dev br-phy REACHABLE lladdr ...' */
  readonly text: string
  /** Milliseconds of a monotonic clock (performance.now()) when this process heard of it. */
  readonly at: number
}

/** One uplink by which packets from a peer are expected: what tier 1's flow for them will match. */
export interface IngressMember {
  /** Datapath port number: the uplink's representor, usually. */
  readonly port: number
  /** Key of an outer packet from the peer as it enters there (K_IN_PORT = `port`): addresses, VLAN, UDP; what is not known is zero. */
  readonly key: Int32Array
}

export type IngressResult =
  | { readonly type: 'found'; readonly members: readonly IngressMember[] }
  | {
      readonly type: 'none'
      readonly check: 'no-route' | 'neighbour-pending' | 'neighbour-failed' | 'underlay-ambiguous'
      readonly detail: string
    }

/** What offload sees, besides the entries that are put through it (Dpif.encapPut). */
export interface TunnelView {
  /** Keeps the way to a peer watched while tunnelled flows use it. Addresses of one version. Counted. */
  watch(peer: Uint8Array, local: Uint8Array | undefined): void
  unwatch(peer: Uint8Array, local: Uint8Array | undefined): void
  /**
   * Where packets of `peer` to our address `local` and UDP port `dstPort` really enter: the way back to the peer, its uplink, or each one of a multipath route. Answered from what
   * the last look-up found.
   */
  ingress(peer: Uint8Array, local: Uint8Array, dstPort: number): IngressResult
  /** UDP port of a datapath port of kind 'vxlan'. */
  udpPort(dpPort: number): number | undefined
  /**
   * Calls back around each piece of work that an event sets off. Between `begin` and `end` the layer puts the entries that changed (Dpif.encapPut) and calls `moved` for each
   * watched peer whose way differs now; `examined`: watched peers that were looked at. Pieces of one cause may be several (slices).
   */
  observe(observer: TunnelObserver): void
}

export interface TunnelObserver {
  begin(cause: TunnelCause): void
  moved(peer: Uint8Array, local: Uint8Array | undefined): void
  end(cause: TunnelCause, examined: number): void
}
