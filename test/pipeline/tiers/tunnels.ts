/** Tunnels for the tests of tiers 2 and 3: numbered frames with outer headers around them, entries, and the matches of both passes. */
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { K_DL_TYPE, K_NW, K_TP, K_TUN_DST, K_TUN_ID, K_TUN_SRC, type Match } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { entryOf, LOCAL4, OUTER, PEER4, wrap } from '../../unit/flow/tunnel-kit.ts'
import { flowMatch, portMatch } from './flows.ts'
import { type FrameFields, numbered } from './frames.ts'

export { OUTER } from '../../unit/flow/tunnel-kit.ts'

/** Datapath port number of the tunnel in these tests. */
export const VXLAN = 9
export const VNI = OUTER.vni
export const HEADERS = 50

/** An entry whose packets leave by `port`. */
export const entry = (id: number, port: number, more: Partial<EncapEntry> = {}): EncapEntry =>
  entryOf(OUTER, { id, actions: [{ type: 'output', port }], ...more })

export const push = (id: number): OdpAction[] => [{ type: 'tnl_push', entry: id }]
export const pop: OdpAction[] = [{ type: 'tnl_pop', port: VXLAN }]

/** `numbered`, as its tunnel delivers it: one source port a flow unless `sourcePort` says otherwise; `tos` outside. */
export const wrapped = (
  flow: number,
  n: number,
  {
    sourcePort = 40000 + flow,
    tos = 0,
    inner = {},
  }: { sourcePort?: number; tos?: number; inner?: Partial<FrameFields> } = {},
): Uint8Array => Uint8Array.from(wrap({ ...OUTER, tos }, [...numbered(flow, n, inner)], sourcePort))

const set = (match: Match, word: number, value: number, mask = -1): void => {
  match.mask[word] = match.mask[word]! | mask
  match.key[word] = (match.key[word]! & ~mask) | (value & mask)
}

const addressWord = (text: string): number => text.split('.').reduce((word, part) => (word << 8) | Number(part), 0)

/** Outer packets as they enter by `port`: of all source ports. */
export const outerMatch = (port: number): Match => {
  const match = portMatch(port)
  set(match, K_DL_TYPE, 0x0800 << 16, 0xffff0000 | 0)
  set(match, K_NW, 17 << 24, 0xff000000 | 0)
  set(match, K_TP, OUTER.dstPort, 0xffff)
  return match
}

/** What came out of the tunnel: `port` is the tunnel's in tier 2, the real ingress in tier 3. `flow` -1: all. */
export const innerMatch = (port: number, flow = -1): Match => {
  const match = flow < 0 ? portMatch(port) : flowMatch(port, flow)
  set(match, K_TUN_ID, 0)
  set(match, K_TUN_ID + 1, VNI)
  for (const [word, address] of [
    [K_TUN_SRC, LOCAL4],
    [K_TUN_DST, PEER4],
  ] as const) {
    set(match, word, 0)
    set(match, word + 1, 0)
    set(match, word + 2, 0xffff)
    set(match, word + 3, addressWord(address))
  }
  return match
}
