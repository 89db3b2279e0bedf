/**
 * Logging: pino, with a module name on each line, and warnings that traffic can cause held back to a rate. Main thread only.
 */
import { type DestinationStream, type Logger as Pino, pino } from 'pino'
import type { Clock } from './clock.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'

export interface LogOptions {
  readonly level: LogLevel
  readonly clock: Clock
  /** Standard error when absent: standard output belongs to commands' answers. */
  readonly destination?: DestinationStream
}

/** Additional data of a line, by name. BigInts are written as decimal strings. */
export type LogData = Readonly<Record<string, unknown>>

/** Lines that one rate-limited message may write at once, and afterwards per minute. */
const BURST = 5
const PER_MINUTE = 10
/** Messages that are told apart; beyond, new ones share one allowance. */
const MAX_MESSAGES = 1000

/** Token bucket that tells how many were held back. */
export class RateLimit {
  readonly #clock: Clock
  readonly #burst: number
  readonly #msPerToken: number
  #tokens: number
  #at: number
  #held = 0

  constructor(clock: Clock, burst = BURST, perMinute = PER_MINUTE) {
    this.#clock = clock
    this.#burst = burst
    this.#msPerToken = 60_000 / perMinute
    this.#tokens = burst
    this.#at = clock.now()
  }

  /** -1: hold this one back. Else: go on, and so many were held back before. */
  take(): number {
    const now = this.#clock.now()
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / this.#msPerToken)
    this.#at = now
    if (this.#tokens < 1) {
      this.#held++
      return -1
    }
    this.#tokens--
    const held = this.#held
    this.#held = 0
    return held
  }
}

const serialisable = (data: LogData): LogData => {
  const out: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(data)) out[name] = typeof value === 'bigint' ? String(value) : value
  return out
}

export class Log {
  readonly #pino: Pino
  readonly #clock: Clock
  readonly #limits: Map<string, RateLimit>
  readonly #module: string

  private constructor(to: Pino, clock: Clock, limits: Map<string, RateLimit>, module: string) {
    this.#pino = to
    this.#clock = clock
    this.#limits = limits
    this.#module = module
  }

  static create(options: LogOptions): Log {
    const destination = options.destination ?? pino.destination({ dest: 2, sync: true })
    const to = pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
    return new Log(to, options.clock, new Map(), '')
  }

  /** A log whose lines carry the module's name. Shares level and destination, not the allowances of `warnLimited`. */
  child(module: string): Log {
    return new Log(this.#pino.child({ module }), this.#clock, this.#limits, module)
  }

  debug(message: string, data: LogData = {}): void {
    this.#pino.debug(serialisable(data), message)
  }

  info(message: string, data: LogData = {}): void {
    this.#pino.info(serialisable(data), message)
  }

  warn(message: string, data: LogData = {}): void {
    this.#pino.warn(serialisable(data), message)
  }

  error(message: string, data: LogData = {}): void {
    this.#pino.error(serialisable(data), message)
  }

  /**
   * A warning that packets or peers can cause: at most a few lines a minute for each module and `message` (which must be a constant text: what varies belongs
   * in `data`). The next line that gets through says how many did not (`heldBack`).
   */
  warnLimited(message: string, data: LogData = {}): void {
    const held = this.#limit(message).take()
    if (held < 0) return
    this.#pino.warn(held > 0 ? { ...serialisable(data), heldBack: held } : serialisable(data), message)
  }

  #limit(message: string): RateLimit {
    const id = `${this.#module}\n${message}`
    const known = this.#limits.get(id)
    if (known) return known
    const shared = this.#limits.size >= MAX_MESSAGES
    const at = shared ? '' : id
    const limit = this.#limits.get(at) ?? new RateLimit(this.#clock)
    this.#limits.set(at, limit)
    return limit
  }
}
