/**
 * Neighbour unreachability detection of one next hop as a state machine: RFC 4861 sections 7.2.5 and 7.3, with the states, the names and the times of Linux,
 * for ARP as well, whose replies count as advertisements that override. Pure: time, frames and tables are the caller's (own-neighbours.ts). All transitions in one
 * table: test/unit/tunnel/nud-table.ts.
 *
 * Different from Linux: a next hop that is kept alive is used again as soon as it grows stale, since nobody sees its packets; probes that nobody answers are
 * followed by broadcast ones before it fails (there: mcast_resolicit, 0); a failure stands for a while before the next request.
 */

export type NudState = 'INCOMPLETE' | 'REACHABLE' | 'STALE' | 'DELAY' | 'PROBE' | 'FAILED' | 'PERMANENT'

/** To whom the caller is to send a request. */
export type NudSend = 'broadcast' | 'unicast'

/** Milliseconds. */
export interface NudTimes {
  /** Between requests (retrans_time). */
  readonly retrans: number
  /** For which a confirmed address is good, on average (base_reachable_time). */
  reachable: number
  /** From the first use of a stale address to its first probe (delay_first_probe_time). */
  readonly delay: number
  /** After which a stale one that nobody uses is forgotten (gc_stale_time). */
  readonly stale: number
  /** From a failure to the next request, doubled each time, up to the longest. */
  readonly pause: number
  readonly longestPause: number
}

export const NUD_TIMES: Readonly<NudTimes> = {
  retrans: 1000,
  reachable: 30_000,
  delay: 5000,
  stale: 60_000,
  pause: 1000,
  longestPause: 8000,
}

/** Requests to all before a next hop fails (mcast_solicit), and probes to its address before those (ucast_solicit). */
export const SOLICITS = 3
export const PROBES = 3

export interface NudEntry {
  state: NudState
  /** 6 bytes; there in all states but INCOMPLETE and FAILED. */
  lladdr: Uint8Array | undefined
  /** Somebody depends on it. */
  kept: boolean
  /** Requests sent in this state. */
  sent: number
  /** Since it last answered. */
  failures: number
}

/**
 * 'use': a packet wants to go. 'timer': the time that the last step gave is over. 'answer': an answer to a request of ours. 'told': any other message by which the neighbour
 * says where it is; both with its address if the message has one. 'set': somebody at the controls says so.
 */
export type NudEvent =
  | { readonly type: 'use' | 'timer' }
  | { readonly type: 'answer' | 'told'; readonly lladdr?: Uint8Array; readonly override: boolean }
  | { readonly type: 'set'; readonly lladdr: Uint8Array }

export interface NudStep {
  readonly send?: NudSend
  /** Milliseconds to the next 'timer'; 0: none; absent: as it was. */
  readonly timer?: number
  /** To be forgotten. */
  readonly gone?: true
}

const NOTHING: NudStep = {}

const differs = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a === undefined || a.some((byte, i) => byte !== b[i])

const stale = (entry: NudEntry, times: NudTimes): NudStep => {
  entry.sent = 0
  entry.state = entry.kept ? 'DELAY' : 'STALE'
  return { timer: entry.kept ? times.delay : times.stale }
}

/** `random`: 0 to 1. Half to one and a half times the average (RFC 4861 section 6.3.2), so that neighbours do not ask in step. */
const reachable = (entry: NudEntry, times: NudTimes, random: number): NudStep => {
  entry.state = 'REACHABLE'
  entry.sent = 0
  entry.failures = 0
  return { timer: times.reachable * (0.5 + random) }
}

const ask = (entry: NudEntry, send: NudSend, times: NudTimes): NudStep => {
  entry.sent++
  return { send, timer: times.retrans }
}

const fail = (entry: NudEntry, times: NudTimes): NudStep => {
  const timer = Math.min(times.pause * 2 ** entry.failures, times.longestPause)
  entry.state = 'FAILED'
  entry.sent = 0
  entry.failures++
  entry.lladdr = undefined
  return { timer }
}

/** The first request; also what makes an entry. */
export const begin = (entry: NudEntry, times: NudTimes): NudStep => {
  entry.state = 'INCOMPLETE'
  entry.sent = 0
  return ask(entry, 'broadcast', times)
}

const timer = (entry: NudEntry, times: NudTimes): NudStep => {
  switch (entry.state) {
    case 'INCOMPLETE':
      return entry.sent < SOLICITS ? ask(entry, 'broadcast', times) : fail(entry, times)
    case 'REACHABLE':
      return stale(entry, times)
    case 'STALE':
      return { gone: true }
    case 'DELAY':
      entry.state = 'PROBE'
      return ask(entry, 'unicast', times)
    case 'PROBE':
      if (entry.sent < PROBES) return ask(entry, 'unicast', times)
      return entry.sent < PROBES + SOLICITS ? ask(entry, 'broadcast', times) : fail(entry, times)
    case 'FAILED':
      return entry.kept ? begin(entry, times) : { gone: true }
    case 'PERMANENT':
      return NOTHING
  }
}

/** RFC 4861 section 7.2.5. */
const heard = (
  entry: NudEntry,
  { type, lladdr, override }: Extract<NudEvent, { type: 'answer' | 'told' }>,
  times: NudTimes,
  random: number,
): NudStep => {
  const { state } = entry
  if (state === 'PERMANENT') return NOTHING
  if (state === 'INCOMPLETE' || state === 'FAILED') {
    if (lladdr === undefined) return NOTHING
    entry.lladdr = lladdr
    entry.failures = 0
    return type === 'answer' ? reachable(entry, times, random) : stale(entry, times)
  }
  const other = lladdr !== undefined && differs(entry.lladdr, lladdr)
  if (other && !override) return state === 'REACHABLE' ? stale(entry, times) : NOTHING
  if (other) entry.lladdr = lladdr
  if (type === 'answer') return reachable(entry, times, random)
  if (other) return stale(entry, times)
  // A neighbour that is heard of is not forgotten.
  return state === 'STALE' ? { timer: times.stale } : NOTHING
}

/** `random`: 0 to 1, for times that must not be the same for all. */
export const step = (entry: NudEntry, event: NudEvent, times: NudTimes, random: number): NudStep => {
  switch (event.type) {
    case 'use':
      if (entry.state !== 'STALE') return NOTHING
      entry.state = 'DELAY'
      return { timer: times.delay }
    case 'timer':
      return timer(entry, times)
    case 'set':
      Object.assign(entry, { state: 'PERMANENT', lladdr: event.lladdr, sent: 0, failures: 0 })
      return { timer: 0 }
    default:
      return heard(entry, event, times, random)
  }
}
