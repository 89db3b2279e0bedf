/**
 * `tnl_push` in dpctl's syntax: an encap entry written out, `clone(tnl_push(tnl_port(P),header(..),out_port(P)),ACTIONS)`, as Open vSwitch dumps its own. One that is
 * not ready says where it leads and why it does not: `tnl_push(tnl_port(P),ipv4(dst=..),vxlan(vni=..),pending(neighbour-pending))`. Control path only.
 */
import { be16 } from '../packet/bytes.ts'
import { VXLAN_HLEN, vxlanVni } from '../packet/vxlan.ts'
import { addressText } from './address.ts'
import { ENCAP_CSUM, type EncapEntry } from './encap.ts'
import { hex4 } from './text-values.ts'

/** OVS_VPORT_TYPE_VXLAN. */
const TYPE_VXLAN = 4
const ETH_HLEN = 14
const UDP_HLEN = 8

const mac = (b: Uint8Array, at: number): string =>
  Array.from(b.subarray(at, at + 6), (byte) => byte.toString(16).padStart(2, '0')).join(':')

/** As printf's %#x. */
const sharp = (n: number): string => (n === 0 ? '0' : `0x${n.toString(16)}`)

const network = (b: Uint8Array, version: 4 | 6): string => {
  const ip = ETH_HLEN
  const addresses = version === 4 ? 12 : 8
  const size = version === 4 ? 4 : 16
  const src = addressText(b.subarray(ip + addresses, ip + addresses + size))
  const dst = addressText(b.subarray(ip + addresses + size, ip + addresses + 2 * size))
  if (version === 4)
    return `ipv4(src=${src},dst=${dst},proto=${b[ip + 9]},tos=${sharp(b[ip + 1]!)},ttl=${b[ip + 8]},frag=0x${be16(b, ip + 6).toString(16)})`
  const tclass = (be16(b, ip) >>> 4) & 0xff
  return `ipv6(src=${src},dst=${dst},label=0,proto=${b[ip + 6]},tclass=0x${tclass.toString(16)},hlimit=${b[ip + 7]})`
}

const outerHeader = (entry: EncapEntry): string => {
  const { header, version } = entry
  const udp = header.length - UDP_HLEN - VXLAN_HLEN
  const parts = [
    `size=${header.length},type=${TYPE_VXLAN}`,
    `eth(dst=${mac(header, 0)},src=${mac(header, 6)},dl_type=${hex4(be16(header, 12))})`,
    network(header, version),
    `udp(src=0,dst=${be16(header, udp + 2)},csum=${(entry.flags & ENCAP_CSUM) === 0 ? '0x0' : '0xffff'})`,
    `vxlan(flags=0x${(header[udp + UDP_HLEN]! * 0x1000000).toString(16)},vni=0x${vxlanVni(header, udp + UDP_HLEN).toString(16)})`,
  ]
  return `header(${parts.join(',')})`
}

/** `portName` and `actions`: how ports and the entry's own actions are written. */
export const formatTnlPush = (entry: EncapEntry, portName: (port: number) => string, actions: string): string => {
  const tunnel = `tnl_port(${portName(entry.tunnelPort)})`
  if (entry.state === 'ready')
    return `clone(tnl_push(${tunnel},${outerHeader(entry)},out_port(${portName(entry.underlayPort)})),${actions})`
  const vni = vxlanVni(entry.header, entry.header.length - VXLAN_HLEN)
  const peer = `ipv${entry.version}(dst=${addressText(entry.peer)}),vxlan(vni=0x${vni.toString(16)})`
  return `tnl_push(${tunnel},${peer},${entry.state}(${entry.reason}))`
}
