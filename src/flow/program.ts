/**
 * Action lists compiled for the workers: Int32Arrays of instructions, run by execute.ts.
 *
 * An instruction is `[opcode | argument << 8, words...]`. The compiler decides who gets the frame itself and who a copy: the last consumer of a list takes the
 * slot (OP_LAST), earlier ones take byte copies; what has no effect any more behind the last consumer is left out.
 * So every non-empty program ends in an instruction that consumes the slot. An empty program drops.
 */
import { MAX_ENCAPS } from './encap.ts'
import { K_ARP_HW, K_ETH, K_MPLS, K_ND_TARGET, K_NW, K_NW_DST, K_NW_SRC, K_TP } from './key.ts'
import { LOST_OUTER_FRAGMENT, LOST_TAKEN, LOST_TRANSLATION, LOST_UNKNOWN_VNI } from './lost.ts'
import type { OdpAction, SetHeader } from './odp.ts'

/** port */
export const OP_OUTPUT = 1
/** port; consumes */
export const OP_OUTPUT_LAST = 2
/** port, maxLen */
export const OP_TRUNC_OUTPUT = 3
/** port, maxLen; consumes */
export const OP_TRUNC_OUTPUT_LAST = 4
/** tpid << 16 | tci */
export const OP_PUSH_VLAN = 5
export const OP_POP_VLAN = 6
/** ethertype, lse */
export const OP_PUSH_MPLS = 7
/** ethertype */
export const OP_POP_MPLS = 8
/** id; consumes */
export const OP_RECIRC = 9
/** argument: words of the body, which follows and runs on a copy */
export const OP_CLONE = 10
/** argument: LOST_*; consumes */
export const OP_DROP = 11
/** entry, maxLen to cut the frame to before (0: not) */
export const OP_TNL_PUSH = 12
/** entry, maxLen; consumes */
export const OP_TNL_PUSH_LAST = 13
/** port, maxLen */
export const OP_TNL_POP = 14
/** port, maxLen; consumes */
export const OP_TNL_POP_LAST = 15
/** OP_SET_*: argument: number of triples; word, value, mask each. */
export const OP_SET_ETH = 16
export const OP_SET_MPLS = 17
export const OP_SET_IPV4 = 18
export const OP_SET_IPV6 = 19
export const OP_SET_ARP = 20
export const OP_SET_ND = 21
export const OP_SET_TCP = 22
export const OP_SET_UDP = 23
export const OP_SET_SCTP = 24
export const OP_SET_ICMP = 25
export const OP_SET_ICMPV6 = 26
export const OP_SET_MARK = 27
export const OP_SET_PRIORITY = 28
/** port */
export const OP_REENTER = 29
/** port; consumes */
export const OP_REENTER_LAST = 30

/** Longest program: a list that needs more cannot be installed. */
export const MAX_PROGRAM = 16384

const SET_OPS: Record<SetHeader, number> = {
  eth: OP_SET_ETH,
  mpls: OP_SET_MPLS,
  ipv4: OP_SET_IPV4,
  ipv6: OP_SET_IPV6,
  arp: OP_SET_ARP,
  nd: OP_SET_ND,
  tcp: OP_SET_TCP,
  udp: OP_SET_UDP,
  sctp: OP_SET_SCTP,
  icmp: OP_SET_ICMP,
  icmpv6: OP_SET_ICMPV6,
  skb_mark: OP_SET_MARK,
  skb_priority: OP_SET_PRIORITY,
}

const range = (first: number, n: number): number[] => Array.from({ length: n }, (_, i) => first + i)

/** Key words that each `set` may write. */
const SETTABLE: Partial<Record<SetHeader, ReadonlySet<number>>> = {
  eth: new Set(range(K_ETH, 3)),
  mpls: new Set([K_MPLS]),
  ipv4: new Set([K_NW_SRC, K_NW_DST, K_NW]),
  arp: new Set([K_NW_SRC, K_NW_DST, K_NW, ...range(K_ARP_HW, 3)]),
  nd: new Set([...range(K_ND_TARGET, 4), ...range(K_ARP_HW, 3)]),
  tcp: new Set([K_TP]),
  udp: new Set([K_TP]),
  sctp: new Set([K_TP]),
  icmp: new Set([K_TP]),
  icmpv6: new Set([K_TP]),
}

export class ProgramError extends Error {}

/** What tier 1 may write into the frame or its metadata is seen by later consumers only; consumers are all the others. */
const consumes = (action: OdpAction): boolean =>
  action.type === 'output' ||
  action.type === 'recirc' ||
  action.type === 'drop' ||
  action.type === 'tnl_push' ||
  action.type === 'tnl_pop' ||
  action.type === 'reenter' ||
  (action.type === 'clone' && action.actions.some(consumes))

/** Reasons of tier 1 that are told apart; all others are one. */
const LOST_BY_REASON: ReadonlyMap<string, number> = new Map([
  ['unknown-vni', LOST_UNKNOWN_VNI],
  ['outer-fragment', LOST_OUTER_FRAGMENT],
  ['taken', LOST_TAKEN],
])

const compileSet = (action: OdpAction & { type: 'set' }, out: number[]): void => {
  const settable = SETTABLE[action.header]
  const words = action.words.filter((w) => w.mask !== 0)
  if (words.length === 0) return
  out.push(SET_OPS[action.header] | (words.length << 8))
  for (const { word, value, mask } of words) {
    if (settable !== undefined && !settable.has(word))
      throw new ProgramError(`set(${action.header}) cannot write key word ${word}`)
    out.push(word, value & mask, mask)
  }
}

const compileList = (actions: readonly OdpAction[], out: number[]): void => {
  let end = actions.length
  while (end > 0 && !consumes(actions[end - 1]!)) end--
  let maxLen = 0
  for (let i = 0; i < end; i++) {
    const action = actions[i]!
    const last = i === end - 1
    switch (action.type) {
      case 'output':
        if (maxLen > 0) out.push(last ? OP_TRUNC_OUTPUT_LAST : OP_TRUNC_OUTPUT, action.port, maxLen)
        else out.push(last ? OP_OUTPUT_LAST : OP_OUTPUT, action.port)
        maxLen = 0
        break
      case 'trunc':
        if (action.maxLen < 14) throw new ProgramError(`trunc(${action.maxLen}): at least 14 bytes expected`)
        maxLen = action.maxLen
        break
      case 'push_vlan':
        out.push(OP_PUSH_VLAN, (action.tpid << 16) | (action.tci & 0xefff))
        break
      case 'pop_vlan':
        out.push(OP_POP_VLAN)
        break
      case 'push_mpls':
        out.push(OP_PUSH_MPLS, action.ethertype, action.lse | 0)
        break
      case 'pop_mpls':
        out.push(OP_POP_MPLS, action.ethertype)
        break
      case 'set':
        compileSet(action, out)
        break
      case 'recirc':
        if (!last) throw new ProgramError('recirc must be the last action of its list')
        out.push(OP_RECIRC, action.id)
        break
      case 'drop':
        if (!last) throw new ProgramError('drop must be the last action of its list')
        out.push(OP_DROP | ((LOST_BY_REASON.get(action.reason) ?? LOST_TRANSLATION) << 8))
        break
      case 'tnl_push':
        if (!Number.isInteger(action.entry) || action.entry < 0 || action.entry >= MAX_ENCAPS)
          throw new ProgramError(`tnl_push: entry ${action.entry}, 0 to ${MAX_ENCAPS - 1} expected`)
        out.push(last ? OP_TNL_PUSH_LAST : OP_TNL_PUSH, action.entry, maxLen)
        maxLen = 0
        break
      case 'tnl_pop':
        out.push(last ? OP_TNL_POP_LAST : OP_TNL_POP, action.port, maxLen)
        maxLen = 0
        break
      case 'reenter':
        out.push(last ? OP_REENTER_LAST : OP_REENTER, action.port)
        break
      case 'clone': {
        if (!consumes(action)) break
        if (last) {
          compileList(action.actions, out)
          break
        }
        const at = out.push(0) - 1
        compileList(action.actions, out)
        out[at] = OP_CLONE | ((out.length - at - 1) << 8)
      }
    }
  }
}

/**
 * Compiles lists, of which the same one often comes several times in a row: once for a flow, once for its first packet. It is known by the array, which nobody may
 * write to.
 */
export class Compiler {
  #actions: readonly OdpAction[] | undefined
  #program: Int32Array = new Int32Array(0)

  /** See compileActions. The program is shared: to be read only. */
  compile(actions: readonly OdpAction[]): Int32Array {
    if (actions === this.#actions) return this.#program
    this.#program = compileActions(actions)
    this.#actions = actions
    return this.#program
  }
}

/** Compiles a list. Throws ProgramError for one that cannot be run (see MAX_PROGRAM) or writes words that its header does not have. */
export const compileActions = (actions: readonly OdpAction[]): Int32Array => {
  const out: number[] = []
  compileList(actions, out)
  if (out.length > MAX_PROGRAM)
    throw new ProgramError(`${out.length} words of actions, at most ${MAX_PROGRAM} expected`)
  return Int32Array.from(out)
}
