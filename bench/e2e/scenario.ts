/** Where the traffic goes: between two guests of one switch, or through VXLAN between two. */
export interface Scenario {
  readonly name: 'l2' | 'vxlan4' | 'vxlan6' | 'vxlan-cut'
  readonly title: string
  /** IP version of the underlay; undefined: no tunnel. */
  readonly outer?: 4 | 6
  /** The far end is the kernel's vxlan device, behind a wire on which frames are cut to 1,500 bytes and complete. Otherwise both ends are of one kind and the underlay keeps super-frames. */
  readonly cut: boolean
  /** Of the guests' links: what fits an underlay of 1,500. */
  readonly mtu: number
}

export const UNDERLAY_MTU = 1500
export const VNI = 100

export const SCENARIOS: readonly Scenario[] = [
  { name: 'l2', title: 'two guests of one switch', cut: false, mtu: 1500 },
  { name: 'vxlan4', title: 'VXLAN over IPv4, super-frames whole', outer: 4, cut: false, mtu: 1450 },
  { name: 'vxlan6', title: 'VXLAN over IPv6, super-frames whole', outer: 6, cut: false, mtu: 1430 },
  { name: 'vxlan-cut', title: "VXLAN to the kernel's device, frames of 1,500 bytes", outer: 4, cut: true, mtu: 1450 },
]

export type Side = 'a' | 'b'
export const otherSide = (side: Side): Side => (side === 'a' ? 'b' : 'a')

/** Address of a tunnel's end, without prefix length. */
export const outerAddress = ({ outer }: Scenario, side: Side): string => {
  const host = side === 'a' ? 1 : 2
  return outer === 6 ? `fd00:40::${host}` : `192.168.0.${host}`
}
export const outerPrefix = (scenario: Scenario, side: Side): string =>
  `${outerAddress(scenario, side)}/${scenario.outer === 6 ? 64 : 24}`
