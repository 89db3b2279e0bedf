import { expect, it } from 'vitest'
import { KIND_PLAIN, KIND_POP, KIND_PUSH, NO_PROGRAM, RulePrograms } from '../../../src/eswitch/rule-programs.ts'
import { compileActions } from '../../../src/flow/program.ts'

const to = (port: number) => compileActions([{ type: 'output', port }])

it('rules that do the same share a program, until the last is gone', () => {
  const programs = new RulePrograms()
  const take = (port: number) => programs.take(programs.shared.share(to(port)))
  const two = take(2)
  expect(take(2)).toBe(two)
  expect(take(3)).not.toBe(two)
  programs.give(two)
  expect(programs.programs[two]).toEqual(to(2))
  expect(take(2)).toBe(two)
  programs.give(two)
  programs.give(two)
  const four = take(4)
  expect(four).toBe(two)
  expect(programs.programs[four]).toEqual(to(4))
})

it('no program is given back as often as one likes', () => {
  const programs = new RulePrograms()
  programs.give(NO_PROGRAM)
  programs.give(NO_PROGRAM)
  expect(programs.take(programs.shared.share(new Int32Array(0)))).toBe(NO_PROGRAM)
  expect(programs.programs[NO_PROGRAM]).toHaveLength(0)
})

it('tells what a program needs', () => {
  const programs = new RulePrograms()
  const kind = (...actions: Parameters<typeof compileActions>[0]) =>
    programs.kinds[programs.take(programs.shared.share(compileActions(actions)))]
  expect(kind({ type: 'output', port: 1 })).toBe(KIND_PLAIN)
  expect(kind({ type: 'tnl_push', entry: 7 })).toBe(KIND_PUSH)
  expect(kind({ type: 'tnl_pop', port: 9 })).toBe(KIND_POP)
})
