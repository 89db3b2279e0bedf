/** A thread's profile as text. */
import { asText } from '../e2e/report/table.ts'
import { MODULES, type ThreadProfile } from './v8.ts'

const MOST_FUNCTIONS = 20

const share = (us: number, of: number): string => (of > 0 ? `${((us / of) * 100).toFixed(1)} %` : '-')

/** Shares are of the time in which the thread did not wait. */
export const asTables = (title: string, { total, modules, functions }: ThreadProfile): string => {
  const waiting = modules.get('waiting') ?? 0
  const busy = total - waiting
  const rows = MODULES.filter((name) => name !== 'waiting').map((name) => [
    name,
    `${((modules.get(name) ?? 0) / 1000).toFixed(0)} ms`,
    share(modules.get(name) ?? 0, busy),
  ])
  const own = functions.filter(({ module }) => module !== 'waiting').slice(0, MOST_FUNCTIONS)
  return [
    `${title}: ${(total / 1000).toFixed(0)} ms, of which it waited ${(waiting / 1000).toFixed(0)} ms (${share(waiting, total)})`,
    '',
    asText([['part', 'self', 'share'], ...rows]),
    '',
    asText([
      ['function', 'self', 'share', 'part', 'at'],
      ...own.map(({ name, at, module, us }) => [name, `${(us / 1000).toFixed(0)} ms`, share(us, busy), module, at]),
    ]),
  ].join('\n')
}
