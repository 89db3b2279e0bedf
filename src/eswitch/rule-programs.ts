/** The programs of an eswitch's rules: rules that do the same share one, so that a million of them need a few. With what a look at a program tells of it. */
import { SharedWords } from '../flow/shared-words.ts'
import { isPop, pushesOf } from './pushes.ts'

/** What a rule's program needs: nothing; a look at encap entries before it is run; to be run as the first of two stages. */
export const KIND_PLAIN = 0
export const KIND_PUSH = 1
export const KIND_POP = 2

/** Of no rule: no actions. */
export const NO_PROGRAM = 0

export class RulePrograms {
  /** By number; read on the hot path. */
  readonly programs: Int32Array[] = []
  readonly pushes: Int32Array[] = []
  readonly kinds: number[] = []
  readonly #users: number[] = []
  /** Programs as `take` wants them. */
  readonly shared = new SharedWords()
  readonly #numbers = new Map<Int32Array, number>()
  readonly #free: number[] = []

  constructor() {
    this.take(this.shared.share(new Int32Array(0)))
  }

  /** Number of the program, one of `shared`, for one more user. */
  take(program: Int32Array): number {
    const known = this.#numbers.get(program)
    if (known !== undefined) {
      this.#users[known] = this.#users[known]! + 1
      return known
    }
    const number = this.#free.pop() ?? this.programs.length
    const pushes = pushesOf(program)
    this.programs[number] = program
    this.pushes[number] = pushes
    this.kinds[number] = isPop(program) ? KIND_POP : pushes.length > 0 ? KIND_PUSH : KIND_PLAIN
    this.#users[number] = 1
    this.#numbers.set(program, number)
    return number
  }

  /** One user less. The number may be another program's after the last one. */
  give(number: number): void {
    if (number === NO_PROGRAM) return
    const left = this.#users[number]! - 1
    this.#users[number] = left
    if (left > 0) return
    this.#numbers.delete(this.programs[number]!)
    this.#free.push(number)
  }
}
