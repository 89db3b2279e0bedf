import { describe, expect, it, test } from 'vitest'
import {
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from '../../../src/netlink/neighbour.ts'
import { A, B, create, PEER, spoken } from './nud-kit.ts'
import { type Event, NUD_TABLE, type Row, type State } from './nud-table.ts'

type World = ReturnType<typeof create>

const NAMES = new Map<number, State>([
  [NUD_INCOMPLETE, 'INCOMPLETE'],
  [NUD_REACHABLE, 'REACHABLE'],
  [NUD_STALE, 'STALE'],
  [NUD_DELAY, 'DELAY'],
  [NUD_PROBE, 'PROBE'],
  [NUD_FAILED, 'FAILED'],
  [NUD_PERMANENT, 'PERMANENT'],
])

const stateOf = ({ neighbours }: World): State => {
  const [entry, ...more] = [...neighbours.entries()]
  expect(more).toEqual([])
  return entry ? NAMES.get(entry.state)! : 'NONE'
}

/** Brings a new world to the row's state, in the way that a neighbour at A gets there. */
const reach = (world: World, version: 4 | 6, { state, sent = 1, kept }: Row): void => {
  const { neighbours, scheduler, hear } = world
  const peer = PEER[version]
  if (state === 'NONE') return
  if (state === 'PERMANENT') neighbours.set(-7, peer, A)
  else if (!kept) neighbours.resolve(-7, peer)
  if (kept) neighbours.keepAlive(-7, peer, true)
  if (state === 'INCOMPLETE') scheduler.advance((sent - 1) * 1000)
  else if (state === 'FAILED') scheduler.advance(3000)
  else if (state !== 'PERMANENT') {
    hear(spoken(version, 'answer', A))
    if (state === 'REACHABLE') return
    scheduler.advance(30_000)
    if (state === 'STALE') return
    if (!kept) neighbours.resolve(-7, peer)
    if (state === 'PROBE') scheduler.advance(5000 + (sent - 1) * 1000)
  }
}

/** Milliseconds until something happens by itself. */
const nextChange = (world: World): number => {
  const { scheduler } = world
  const state = stateOf(world)
  world.frames()
  const start = scheduler.elapsed()
  while (scheduler.timers > 0) {
    // All times are multiples of this.
    scheduler.advance(500)
    if (stateOf(world) !== state || world.frames().length > 0) return scheduler.elapsed() - start
  }
  return 0
}

const happen = (world: World, version: 4 | 6, event: Event): void => {
  const { neighbours, hear } = world
  const peer = PEER[version]
  const at = event.endsWith('B') ? B : A
  switch (event) {
    case 'use':
      neighbours.resolve(-7, peer)
      return
    case 'timer':
      nextChange(world)
      return
    case 'keep':
    case 'let go':
      neighbours.keepAlive(-7, peer, event === 'keep')
      return
    case 'set B':
      neighbours.set(-7, peer, B)
      return
    case 'flush':
      neighbours.flush()
      return
    default: {
      const [kind, word] = event.split(' ') as ['answer' | 'told' | 'asks', string]
      hear(spoken(version, kind, at, word === 'weak' || word === 'bare' ? word : 'plain'))
    }
  }
}

/** ARP knows no such thing. */
const isOfNdOnly = ({ event }: Row): boolean => event.includes('weak') || event.includes('bare')

const cases = ([4, 6] as const).flatMap((version) =>
  NUD_TABLE.filter((row) => version === 6 || (row.version !== 6 && !isOfNdOnly(row))).map((row) => ({
    version,
    row,
    title: `${row.state}${row.sent ? ` (${row.sent} sent)` : ''}${row.kept ? ', kept' : ''} + ${row.event} -> ${row.next}`,
  })),
)

describe.each([4, 6] as const)('over IPv%i', (version) => {
  it.each(cases.filter((one) => one.version === version))('$title', ({ row }) => {
    const world = create()
    reach(world, version, row)
    expect(stateOf(world)).toBe(row.state)
    // What would have happened by itself, in a world of its own.
    const twin = create()
    reach(twin, version, row)
    const undisturbed = nextChange(twin)

    world.frames()
    if (row.event === 'timer') {
      world.scheduler.advance(undisturbed - 1)
      expect([stateOf(world), world.frames()]).toEqual([row.state, []])
      world.scheduler.advance(1)
    } else happen(world, version, row.event)
    expect(stateOf(world)).toBe(row.next)
    const requests = world.sent().filter(({ asks }) => asks)
    expect(requests.map(({ ethDst }) => ((ethDst[0]! & 1) === 0 ? 'unicast' : 'broadcast'))).toEqual(
      row.send === undefined ? [] : [row.send],
    )
    if (row.send === 'unicast') expect(requests[0]!.ethDst).toEqual(A)
    const at = row.at === 'B' ? B : A
    const shown = world.neighbours.lookup(-7, PEER[version])
    const failed = row.next === 'FAILED' || (row.state === 'FAILED' && row.next === 'INCOMPLETE')
    expect(shown).toEqual(
      row.next === 'NONE'
        ? { type: 'none' }
        : failed
          ? { type: 'failed' }
          : row.next === 'INCOMPLETE'
            ? { type: 'pending' }
            : { type: 'found', lladdr: at },
    )
    expect(nextChange(world)).toBe(row.timer ?? undisturbed)
  })
})

/** Its address is not known, and what the neighbour says is all that is. */
const isOpen = (state: State): boolean => state === 'NONE' || state === 'INCOMPLETE' || state === 'FAILED'
const isThere = (state: State, event: Event): boolean =>
  NUD_TABLE.some((row) => row.state === state && row.event === event) ||
  (isOpen(state) && event.endsWith(' B') && isThere(state, event.replace('B', 'A') as Event)) ||
  (event === 'timer' && (state === 'NONE' || state === 'PERMANENT'))

test('every state is there with every event', () => {
  const events = [...new Set(NUD_TABLE.map(({ event }) => event))]
  const states = [...new Set(NUD_TABLE.map(({ state }) => state))]
  const missing = states.flatMap((state) =>
    events.filter((event) => !isThere(state, event)).map((event) => `${state} + ${event}`),
  )
  expect(missing).toEqual([])
})
