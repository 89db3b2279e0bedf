/**
 * Every state of a neighbour with every event: what it becomes, what is sent, and when it changes next without a further event. Times are those of a manual clock with
 * `random` in the middle. Where no address is known yet (NONE, INCOMPLETE, FAILED), B is like A unless a row says otherwise; NONE and PERMANENT have no timer.
 * nud-table.test.ts holds our own ARP and neighbour discovery against it; rows with `kernel: true` are what Linux does too, which
 * test/system/tunnel/nud-kernel.test.ts provokes.
 */

export type State = 'NONE' | 'INCOMPLETE' | 'REACHABLE' | 'STALE' | 'DELAY' | 'PROBE' | 'FAILED' | 'PERMANENT'

/**
 * What happens to a neighbour that is known to be at A. 'answer': a reply, or an advertisement with flags S and O, to us alone. 'told': a gratuitous ARP, or an advertisement
 * with O alone, to all. 'asks': its request for our address. 'weak': without the flag O. 'bare': without an address.
 */
export type Event =
  | 'use'
  | 'timer'
  | 'answer A'
  | 'answer B'
  | 'answer weak B'
  | 'answer bare'
  | 'told A'
  | 'told B'
  | 'told weak B'
  | 'asks A'
  | 'asks B'
  | 'keep'
  | 'let go'
  | 'set B'
  | 'flush'

export interface Row {
  readonly state: State
  /** Requests sent in it; 1 unless told. */
  readonly sent?: number
  /** Kept alive. */
  readonly kept?: true
  readonly event: Event
  readonly next: State
  /** Who it is thought to be; A unless told. */
  readonly at?: 'A' | 'B'
  readonly send?: 'broadcast' | 'unicast'
  /** Milliseconds to the next change; absent: as if nothing had happened. */
  readonly timer?: number
  /** Only of this version. */
  readonly version?: 4 | 6
  readonly kernel?: true
}

export const RETRANS = 1000
export const REACHABLE = 30_000
export const DELAY = 5000
export const GC_STALE = 60_000
const PAUSE = 1000

const nothing = (state: State, ...events: Event[]): Row[] => events.map((event) => ({ state, event, next: state }))

export const NUD_TABLE: readonly Row[] = [
  { state: 'NONE', event: 'use', next: 'INCOMPLETE', send: 'broadcast', timer: RETRANS, kernel: true },
  { state: 'NONE', event: 'keep', next: 'INCOMPLETE', send: 'broadcast', timer: RETRANS },
  { state: 'NONE', event: 'set B', next: 'PERMANENT', at: 'B' },
  ...nothing('NONE', 'answer A', 'answer weak B', 'answer bare', 'told A', 'told weak B', 'asks A', 'let go', 'flush'),

  { state: 'INCOMPLETE', event: 'timer', next: 'INCOMPLETE', send: 'broadcast', timer: RETRANS, kernel: true },
  {
    state: 'INCOMPLETE',
    sent: 2,
    event: 'timer',
    next: 'INCOMPLETE',
    send: 'broadcast',
    timer: RETRANS,
    kernel: true,
  },
  { state: 'INCOMPLETE', sent: 3, event: 'timer', next: 'FAILED', timer: PAUSE, kernel: true },
  { state: 'INCOMPLETE', event: 'answer A', next: 'REACHABLE', timer: REACHABLE, kernel: true },
  { state: 'INCOMPLETE', event: 'answer weak B', next: 'REACHABLE', at: 'B', timer: REACHABLE },
  { state: 'INCOMPLETE', event: 'told A', next: 'STALE', timer: GC_STALE, kernel: true },
  { state: 'INCOMPLETE', event: 'told weak B', next: 'STALE', at: 'B', timer: GC_STALE, version: 6 },
  { state: 'INCOMPLETE', kept: true, event: 'told A', next: 'DELAY', timer: DELAY },
  { state: 'INCOMPLETE', event: 'asks A', next: 'STALE', timer: GC_STALE, kernel: true },
  { state: 'INCOMPLETE', event: 'set B', next: 'PERMANENT', at: 'B', timer: 0 },
  { state: 'INCOMPLETE', event: 'flush', next: 'NONE', timer: 0 },
  {
    state: 'INCOMPLETE',
    sent: 3,
    kept: true,
    event: 'flush',
    next: 'INCOMPLETE',
    send: 'broadcast',
    timer: RETRANS,
  },
  ...nothing('INCOMPLETE', 'use', 'answer bare', 'keep', 'let go'),

  { state: 'REACHABLE', event: 'timer', next: 'STALE', timer: GC_STALE, kernel: true },
  { state: 'REACHABLE', kept: true, event: 'timer', next: 'DELAY', timer: DELAY },
  { state: 'REACHABLE', event: 'answer B', next: 'STALE', at: 'B', timer: GC_STALE },
  { state: 'REACHABLE', event: 'answer weak B', next: 'STALE', timer: GC_STALE, version: 6, kernel: true },
  { state: 'REACHABLE', event: 'told B', next: 'STALE', at: 'B', timer: GC_STALE, kernel: true },
  { state: 'REACHABLE', kept: true, event: 'told B', next: 'DELAY', at: 'B', timer: DELAY },
  { state: 'REACHABLE', event: 'told weak B', next: 'STALE', timer: GC_STALE, version: 6, kernel: true },
  { state: 'REACHABLE', event: 'asks B', next: 'STALE', at: 'B', timer: GC_STALE, kernel: true },
  { state: 'REACHABLE', event: 'set B', next: 'PERMANENT', at: 'B', timer: 0 },
  { state: 'REACHABLE', event: 'flush', next: 'NONE', timer: 0 },
  { state: 'REACHABLE', event: 'told A', next: 'REACHABLE', kernel: true },
  { state: 'REACHABLE', event: 'asks A', next: 'REACHABLE', kernel: true },
  ...nothing('REACHABLE', 'use', 'answer A', 'answer bare', 'keep', 'let go'),

  { state: 'STALE', event: 'use', next: 'DELAY', timer: DELAY, kernel: true },
  { state: 'STALE', event: 'keep', next: 'DELAY', timer: DELAY },
  { state: 'STALE', event: 'timer', next: 'NONE', timer: 0 },
  { state: 'STALE', event: 'told A', next: 'STALE', timer: GC_STALE, kernel: true },
  { state: 'STALE', event: 'asks A', next: 'STALE', timer: GC_STALE, kernel: true },
  { state: 'STALE', event: 'answer bare', next: 'STALE', timer: GC_STALE, version: 6 },
  { state: 'STALE', event: 'told B', next: 'STALE', at: 'B', timer: GC_STALE, kernel: true },
  { state: 'STALE', event: 'answer B', next: 'STALE', at: 'B', timer: GC_STALE },
  { state: 'STALE', event: 'answer A', next: 'STALE', timer: GC_STALE },
  { state: 'STALE', event: 'answer weak B', next: 'STALE', version: 6, kernel: true },
  { state: 'STALE', event: 'told weak B', next: 'STALE', version: 6, kernel: true },
  { state: 'STALE', event: 'asks B', next: 'STALE', at: 'B', timer: GC_STALE, kernel: true },
  { state: 'STALE', event: 'set B', next: 'PERMANENT', at: 'B', timer: 0 },
  { state: 'STALE', event: 'flush', next: 'NONE', timer: 0 },
  ...nothing('STALE', 'let go'),

  { state: 'DELAY', event: 'timer', next: 'PROBE', send: 'unicast', timer: RETRANS, kernel: true },
  { state: 'DELAY', event: 'told B', next: 'STALE', at: 'B', timer: GC_STALE, kernel: true },
  { state: 'DELAY', kept: true, event: 'told B', next: 'DELAY', at: 'B', timer: DELAY },
  { state: 'DELAY', event: 'answer B', next: 'STALE', at: 'B', timer: GC_STALE },
  { state: 'DELAY', event: 'asks B', next: 'STALE', at: 'B', timer: GC_STALE, kernel: true },
  { state: 'DELAY', event: 'told weak B', next: 'DELAY', version: 6, kernel: true },
  { state: 'DELAY', event: 'answer weak B', next: 'DELAY', version: 6, kernel: true },
  { state: 'DELAY', event: 'told A', next: 'DELAY', kernel: true },
  { state: 'DELAY', event: 'set B', next: 'PERMANENT', at: 'B', timer: 0 },
  { state: 'DELAY', event: 'flush', next: 'NONE', timer: 0 },
  ...nothing('DELAY', 'use', 'answer A', 'answer bare', 'asks A', 'keep', 'let go'),

  { state: 'PROBE', event: 'timer', next: 'PROBE', send: 'unicast', timer: RETRANS, kernel: true },
  { state: 'PROBE', sent: 2, event: 'timer', next: 'PROBE', send: 'unicast', timer: RETRANS, kernel: true },
  { state: 'PROBE', sent: 3, event: 'timer', next: 'PROBE', send: 'broadcast', timer: RETRANS, kernel: true },
  { state: 'PROBE', sent: 5, event: 'timer', next: 'PROBE', send: 'broadcast', timer: RETRANS, kernel: true },
  { state: 'PROBE', sent: 6, event: 'timer', next: 'FAILED', timer: PAUSE, kernel: true },
  { state: 'PROBE', event: 'answer A', next: 'REACHABLE', timer: REACHABLE, kernel: true },
  { state: 'PROBE', sent: 4, event: 'answer B', next: 'REACHABLE', at: 'B', timer: REACHABLE, kernel: true },
  { state: 'PROBE', event: 'answer weak B', next: 'PROBE', version: 6, kernel: true },
  { state: 'PROBE', event: 'told weak B', next: 'PROBE', version: 6, kernel: true },
  { state: 'PROBE', event: 'answer bare', next: 'REACHABLE', timer: REACHABLE, version: 6, kernel: true },
  { state: 'PROBE', event: 'told A', next: 'PROBE', kernel: true },
  { state: 'PROBE', event: 'told B', next: 'STALE', at: 'B', timer: GC_STALE, kernel: true },
  { state: 'PROBE', kept: true, event: 'told B', next: 'DELAY', at: 'B', timer: DELAY },
  { state: 'PROBE', event: 'asks B', next: 'STALE', at: 'B', timer: GC_STALE, kernel: true },
  { state: 'PROBE', event: 'set B', next: 'PERMANENT', at: 'B', timer: 0 },
  { state: 'PROBE', event: 'flush', next: 'NONE', timer: 0 },
  { state: 'PROBE', kept: true, event: 'flush', next: 'INCOMPLETE', send: 'broadcast', timer: RETRANS },
  ...nothing('PROBE', 'use', 'asks A', 'keep', 'let go'),

  { state: 'FAILED', event: 'timer', next: 'NONE', timer: 0 },
  { state: 'FAILED', kept: true, event: 'timer', next: 'INCOMPLETE', send: 'broadcast', timer: RETRANS },
  { state: 'FAILED', event: 'answer A', next: 'STALE', timer: GC_STALE },
  { state: 'FAILED', event: 'answer weak B', next: 'STALE', at: 'B', timer: GC_STALE },
  { state: 'FAILED', event: 'told weak B', next: 'STALE', at: 'B', timer: GC_STALE },
  { state: 'FAILED', event: 'told A', next: 'STALE', timer: GC_STALE, kernel: true },
  { state: 'FAILED', kept: true, event: 'told A', next: 'DELAY', timer: DELAY },
  { state: 'FAILED', event: 'asks A', next: 'STALE', timer: GC_STALE, kernel: true },
  { state: 'FAILED', event: 'set B', next: 'PERMANENT', at: 'B', timer: 0 },
  { state: 'FAILED', event: 'flush', next: 'NONE', timer: 0 },
  ...nothing('FAILED', 'use', 'answer bare', 'keep', 'let go'),

  { state: 'PERMANENT', event: 'set B', next: 'PERMANENT', at: 'B' },
  { state: 'PERMANENT', event: 'flush', next: 'NONE' },
  { state: 'PERMANENT', kept: true, event: 'flush', next: 'INCOMPLETE', send: 'broadcast', timer: RETRANS },
  { state: 'PERMANENT', event: 'told B', next: 'PERMANENT', kernel: true },
  { state: 'PERMANENT', event: 'asks B', next: 'PERMANENT', kernel: true },
  ...nothing(
    'PERMANENT',
    'use',
    'answer A',
    'answer B',
    'answer weak B',
    'told A',
    'told weak B',
    'asks A',
    'answer bare',
    'keep',
    'let go',
  ),
]
