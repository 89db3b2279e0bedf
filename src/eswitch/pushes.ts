/** Which encap entries a compiled program names, and how long the frame is by then: what an eswitch must know before it runs anything of it. */
import {
  OP_CLONE,
  OP_DROP,
  OP_OUTPUT,
  OP_OUTPUT_LAST,
  OP_POP_MPLS,
  OP_POP_VLAN,
  OP_PUSH_MPLS,
  OP_PUSH_VLAN,
  OP_RECIRC,
  OP_REENTER,
  OP_REENTER_LAST,
  OP_TNL_POP,
  OP_TNL_POP_LAST,
  OP_TNL_PUSH,
  OP_TNL_PUSH_LAST,
  OP_TRUNC_OUTPUT,
  OP_TRUNC_OUTPUT_LAST,
} from '../flow/program.ts'

/** Words of one push in `pushesOf`: entry; bytes that the frame has become longer (or shorter) by before it; most bytes of the frame, 0: no limit. */
export const PUSH_WORDS = 3

const TAG = 4
const NONE = new Int32Array(0)

const collect = (p: Int32Array, from: number, to: number, grownBefore: number, out: number[]): void => {
  let grown = grownBefore
  for (let pc = from; pc < to; ) {
    const argument = p[pc]! >>> 8
    switch (p[pc]! & 0xff) {
      case OP_TNL_PUSH:
      case OP_TNL_PUSH_LAST:
        out.push(p[pc + 1]!, grown, p[pc + 2]!)
        pc += 3
        break
      case OP_OUTPUT:
      case OP_OUTPUT_LAST:
      case OP_RECIRC:
      case OP_REENTER:
      case OP_REENTER_LAST:
        pc += 2
        break
      case OP_TRUNC_OUTPUT:
      case OP_TRUNC_OUTPUT_LAST:
      case OP_TNL_POP:
      case OP_TNL_POP_LAST:
        pc += 3
        break
      case OP_PUSH_VLAN:
        grown += TAG
        pc += 2
        break
      case OP_POP_VLAN:
        grown -= TAG
        pc += 1
        break
      case OP_PUSH_MPLS:
        grown += TAG
        pc += 3
        break
      case OP_POP_MPLS:
        grown -= TAG
        pc += 2
        break
      case OP_DROP:
        pc += 1
        break
      case OP_CLONE:
        collect(p, pc + 1, pc + 1 + argument, grown, out)
        pc += 1 + argument
        break
      default:
        pc += 1 + 3 * argument
    }
  }
}

/** All pushes of a program, PUSH_WORDS each. */
export const pushesOf = (program: Int32Array): Int32Array => {
  const out: number[] = []
  collect(program, 0, program.length, 0, out)
  return out.length === 0 ? NONE : Int32Array.from(out)
}

/** True if the program is nothing but a `tnl_pop`. */
export const isPop = (program: Int32Array): boolean =>
  program.length === 3 && (program[0]! & 0xff) === OP_TNL_POP_LAST && program[2] === 0
