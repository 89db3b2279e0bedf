/** Output to an internal port that no host's stack owns: ARP and neighbour discovery that concern it are for the switch itself. */
import { K_ND_TARGET, K_NW, K_NW_DST, K_NW_SRC, K_TP, K_VLAN0 } from '../../flow/key.ts'
import { OFPP_LOCAL } from '../../flow/ofp.ts'
import { put32 } from '../../packet/bytes.ts'
import { ND_ADVERT, ND_SOLICIT } from '../../packet/icmpv6.ts'
import type { Port } from '../port.ts'
import type { Xlate } from './context.ts'
import { ETH_ARP, ETH_IPV6, ethType, ipProto, isLaterFragment, NW_PROTO, PROTO_ICMPV6 } from './packet.ts'

const bytesAt = (flow: Int32Array, word: number, words: number): Uint8Array => {
  const bytes = new Uint8Array(words * 4)
  for (let i = 0; i < words; i++) put32(bytes, i * 4, flow[word + i]!)
  return bytes
}

/**
 * Whether the packet is to be handed to the switch: it asks for an address of the port, or tells about a neighbour that matters, or is told to the port. Looks at all that this
 * depends on, so that of what is forwarded by a flow, none is of that kind.
 */
export const isHanded = (x: Xlate, port: Port): boolean => {
  const { stackless } = x.bridge.tunnels
  const { flow } = x
  if (stackless === null || port.no !== OFPP_LOCAL || !stackless.has(port.dpPort)) return false
  const type = ethType(flow)
  // With a tag it is for nobody here.
  if (flow[K_VLAN0] !== 0 || x.wasMpls) return false
  if (type === ETH_ARP) {
    x.look(K_NW_SRC, -1)
    x.look(K_NW_DST, -1)
    return (
      stackless.owns(port.dpPort, bytesAt(flow, K_NW_DST, 1)) ||
      stackless.knows(port.dpPort, bytesAt(flow, K_NW_SRC, 1))
    )
  }
  if (type !== ETH_IPV6) return false
  x.look(K_NW, NW_PROTO)
  if (ipProto(flow) !== PROTO_ICMPV6 || isLaterFragment(flow)) return false
  x.look(K_TP, -1)
  const message = flow[K_TP]! >>> 16
  if ((message !== ND_SOLICIT && message !== ND_ADVERT) || (flow[K_TP]! & 0xffff) !== 0) return false
  x.wc.fill(-1, K_ND_TARGET, K_ND_TARGET + 4)
  const target = bytesAt(flow, K_ND_TARGET, 4)
  if (message === ND_SOLICIT) return stackless.owns(port.dpPort, target)
  x.wc.fill(-1, K_NW_DST, K_NW_DST + 4)
  return stackless.knows(port.dpPort, target) || stackless.owns(port.dpPort, bytesAt(flow, K_NW_DST, 4))
}
