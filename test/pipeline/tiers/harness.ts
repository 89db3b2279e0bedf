/**
 * Tiers 2 and 3 in one thread: the same cores, clients and rings as in production, memory ports instead of TAPs, a clock that the test moves.
 * `step()` is one round of everything; `settle()` goes on until nothing moves any more.
 */
import { DatapathClient } from '../../../src/datapath/client.ts'
import type { DpifCounters, DpPort } from '../../../src/datapath/contract.ts'
import type { DatapathControl, DatapathEvent } from '../../../src/datapath/control.ts'
import { Datapath } from '../../../src/datapath/core.ts'
import { createDatapathShared, OWNER_FIRST_ESWITCH } from '../../../src/datapath/shared.ts'
import { WAITING_LIMITS, type WaitingLimits } from '../../../src/datapath/waiting.ts'
import { EswitchClient } from '../../../src/eswitch/client.ts'
import type { EswitchControl, EswitchEvent } from '../../../src/eswitch/control.ts'
import { EswitchCore } from '../../../src/eswitch/core.ts'
import type { EswitchThread } from '../../../src/eswitch/host.ts'
import type { Profile } from '../../../src/eswitch/profile.ts'
import type { EswitchShared } from '../../../src/eswitch/shared.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import type { Advise } from '../../../src/lib/words.ts'
import { createArena, type SlotPool } from '../../../src/packet/slot.ts'
import { PORT_STAT_WORDS, PS_DROPS } from '../../../src/port/contract.ts'
import { DROP_REASONS } from '../../../src/port/drop.ts'
import { MemoryPort } from '../../../src/port/memory.ts'
import { numbered, numberOf, range } from './frames.ts'

export interface WorldOptions {
  small?: number
  big?: number
  flows?: number
  limits?: Partial<WaitingLimits>
  /** For the threads' big tables, where that is what matters. */
  hugePages?: Advise
  /** Names of eswitches; table sizes. */
  eswitches?: Record<string, number>
}

export const testProfile = (tableSize: number): Profile => ({
  name: 'test',
  tableSize,
  match: new Set(),
  exactOnly: new Set(),
  actions: new Set(),
  set: new Set(),
  maxOutputs: 64,
})

class LocalThread implements EswitchThread {
  readonly eventfd = -1
  readonly core: EswitchCore
  readonly shared: EswitchShared
  readonly gone: (why: string) => void
  readonly #inbox: EswitchControl[] = []
  readonly #outbox: EswitchEvent[] = []
  readonly #receive: (event: EswitchEvent) => void
  alive = true
  /** What others do while the worker waits for an answer. */
  whileAwaiting: () => void = () => {}
  /** Set by a test: the worker does nothing any more, without dying. */
  hung = false

  constructor(
    shared: EswitchShared,
    receive: (event: EswitchEvent) => void,
    gone: (why: string) => void,
    hugePages?: Advise,
  ) {
    this.shared = shared
    this.gone = gone
    this.#receive = receive
    this.core = new EswitchCore(shared, {
      ...(hugePages && { hugePages }),
      post: (event) => void this.#outbox.push(event),
      openPort: (_no, name, open) => {
        if (open.type !== 'object') throw new Error(`port ${name}: an object expected in this thread`)
        return open.port
      },
      watch: () => {},
      unwatch: () => {},
      rewatch: () => {},
      pause: () => {},
      fruitless: () => {},
      wakeDatapath: () => {},
      awaitSignal: () => this.whileAwaiting(),
    })
  }

  post(message: EswitchControl): void {
    this.#inbox.push(message)
  }

  wake(): void {}

  /** Set by a test: a thread that does not end before this. */
  endsAfter: Promise<void> | undefined

  async terminate(): Promise<void> {
    await this.endsAfter
    this.alive = false
  }

  step(now: number): boolean {
    if (!this.alive || this.hung) return false
    Atomics.add(this.shared.status, 0, 1)
    let busy = this.#inbox.length > 0
    for (const message of this.#inbox.splice(0)) this.core.control(message)
    // As a worker to which frames come at a pace.
    if (this.core.poll(now) || this.core.doze(now)) busy = true
    for (const event of this.#outbox.splice(0)) {
      this.#receive(event)
      busy = true
    }
    return busy
  }
}

export class World {
  readonly clock = new ManualClock()
  readonly dpif: DatapathClient
  readonly datapath: Datapath
  readonly warnings: string[] = []
  readonly deadPorts: number[] = []
  /** How often a NIC's worker waited for an answer of the datapath. */
  awaited = 0
  readonly #inbox: DatapathControl[] = []
  readonly #outbox: DatapathEvent[] = []
  readonly #eswitches = new Map<string, { client: EswitchClient; thread: LocalThread | undefined }>()
  readonly #memory = new Map<number, MemoryPort>()
  readonly #timers: { at: number; task: () => void }[] = []
  #paused = false

  constructor(options: WorldOptions = {}) {
    const names = Object.keys(options.eswitches ?? {})
    const arena = createArena(OWNER_FIRST_ESWITCH + names.length, options.small ?? 256, options.big ?? 16)
    const shared = createDatapathShared(arena, options.flows ?? 4096)
    this.dpif = new DatapathClient(shared, {
      post: (message) => void this.#inbox.push(message),
      wake: () => {},
      later: () => {},
    })
    this.datapath = new Datapath(
      shared,
      {
        ...(options.hugePages && { hugePages: options.hugePages }),
        post: (event) => void this.#outbox.push(event),
        openPort: (_no, name, open) => {
          if (open.type !== 'object') throw new Error(`port ${name}: an object expected in this thread`)
          return open.port
        },
        watch: () => {},
        unwatch: () => {},
        rewatch: () => {},
        pause: () => {},
        fruitless: () => {},
        signal: () => {},
      },
      { ...WAITING_LIMITS, ...options.limits },
    )
    this.dpif.onWarning((text) => this.warnings.push(text))
    this.dpif.onPortDead((no) => this.deadPorts.push(no))
    for (const name of names) this.#addEswitch(name, options.eswitches![name]!, options.hugePages)
  }

  #addEswitch(name: string, tableSize: number, hugePages: Advise | undefined): void {
    const entry: { client: EswitchClient; thread: LocalThread | undefined } = {
      client: new EswitchClient({
        name,
        switchId: `0a:00:00:00:00:${(this.#eswitches.size + 1).toString(16).padStart(2, '0')}`,
        profile: testProfile(tableSize),
        datapath: this.dpif,
        clock: this.clock,
        after: (ms, task) => void this.#timers.push({ at: this.clock.now() + ms, task }),
        spawn: (shared, receive, gone) => {
          entry.thread = new LocalThread(shared, receive, gone, hugePages)
          entry.thread.whileAwaiting = () => {
            this.awaited++
            if (!this.#paused) this.datapath.poll(this.clock.now())
          }
          return entry.thread
        },
      }),
      thread: undefined,
    }
    this.#eswitches.set(name, entry)
  }

  eswitch(name: string): EswitchClient {
    return this.#eswitches.get(name)!.client
  }

  core(name: string): EswitchCore {
    return this.#eswitches.get(name)!.thread!.core
  }

  thread(name: string): LocalThread {
    return this.#eswitches.get(name)!.thread!
  }

  /** Starts every eswitch. */
  async start(): Promise<void> {
    for (const { client } of this.#eswitches.values()) await this.run(client.start())
  }

  /** Ends a worker as a crash would. */
  kill(name: string): void {
    const { thread } = this.#eswitches.get(name)!
    thread!.alive = false
    thread!.gone('killed by the test')
  }

  /** While true the datapath's thread stands still: what is in the rings stays there. */
  pauseDatapath(paused: boolean): void {
    this.#paused = paused
  }

  /** A port of tier 2. */
  async addPort(no: number, name: string): Promise<MemoryPort> {
    const port = new MemoryPort(name, no, this.dpif.arena, this.dpif.shared.portStats)
    this.#memory.set(no, port)
    await this.run(this.dpif.portAdd({ no, name, kind: 'memory' }, { type: 'object', port }))
    return port
  }

  /** A VF or uplink of an eswitch, with its representor. */
  async addVf(no: number, name: string, eswitch: string, mtu = 0): Promise<MemoryPort> {
    const client = this.eswitch(eswitch)
    const port = new MemoryPort(name, no, this.dpif.arena, client.memory.portStats)
    this.#memory.set(no, port)
    const dpPort: DpPort = { no, name, kind: 'representor', eswitch }
    await this.run(this.dpif.portAdd(dpPort))
    await this.run(client.portAdd(no, name, { type: 'object', port }, mtu))
    return port
  }

  port(no: number): MemoryPort {
    return this.#memory.get(no)!
  }

  /** Frames from .. to - 1 of a flow, as of `numbered`, come by a port. */
  inject(no: number, from: number, to: number, flow = 0): void {
    for (const n of range(from, to)) this.port(no).inject(numbered(flow, n))
  }

  /** Numbers of a flow's frames that have left by a port. */
  sent(no: number, flow = 0): number[] {
    return this.port(no)
      .sent.map(({ data }) => numberOf(data))
      .filter((one) => one.flow === flow)
      .map(({ n }) => n)
  }

  /** Of tier 2. */
  counters(): DpifCounters {
    const counters = { frames: 0, cacheHits: 0, flowHits: 0, misses: 0, upcalls: 0, masks: 0, maskHits: 0, flows: 0 }
    this.dpif.counters(counters)
    return counters
  }

  /** Frames that tier 2 has handled. */
  frames(): number {
    return this.counters().frames
  }

  /** One round of every thread. True if anything moved. */
  step(): boolean {
    const now = this.clock.now()
    let busy = this.dpif.pump()
    if (!this.#paused) {
      for (const message of this.#inbox.splice(0)) {
        this.datapath.control(message)
        busy = true
      }
      if (this.datapath.poll(now)) busy = true
      for (const event of this.#outbox.splice(0)) {
        this.dpif.receive(event)
        busy = true
      }
    }
    for (const { client, thread } of this.#eswitches.values()) {
      if (thread?.step(now)) busy = true
      if (client.pump()) busy = true
    }
    for (const timer of this.#timers.splice(0)) {
      if (timer.at > now) this.#timers.push(timer)
      else {
        timer.task()
        busy = true
      }
    }
    return busy
  }

  /** Rounds until nothing moves, with promises in between. Throws when that does not come. */
  async settle(limit = 10_000): Promise<void> {
    for (let quiet = 0, rounds = 0; quiet < 3; rounds++) {
      if (rounds > limit) throw new Error(`the world does not come to rest in ${limit} rounds`)
      quiet = this.step() ? 0 : quiet + 1
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }

  /** Rounds until `promise` is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let done = false
    const mark = (): void => {
      done = true
    }
    promise.then(mark, mark)
    for (let rounds = 0; !done; rounds++) {
      if (rounds > 10_000) throw new Error('the promise is not settled after 10,000 rounds')
      this.step()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    return promise
  }

  /** Drop counters of a port by reason, over all tiers; without zeros. */
  drops(no: number): Record<string, number> {
    const out: Record<string, number> = {}
    const all = [this.dpif.shared.portStats, ...[...this.#eswitches.values()].map((e) => e.client.memory.portStats)]
    DROP_REASONS.forEach((reason, i) => {
      const n = all.reduce((s, stats) => s + stats[no * PORT_STAT_WORDS + PS_DROPS + i]!, 0)
      if (n > 0) out[reason] = n
    })
    return out
  }

  /** A value of a port's counters (PS_*), over all tiers. */
  count(no: number, at: number): number {
    const all = [this.dpif.shared.portStats, ...[...this.#eswitches.values()].map((e) => e.client.memory.portStats)]
    return all.reduce((s, stats) => s + stats[no * PORT_STAT_WORDS + at]!, 0)
  }

  /** Slots that are not in their owner's pool, by owner. All empty once the world is at rest. */
  missingSlots(): Record<string, number> {
    const { small, big } = this.dpif.arena
    const missing = (pool: SlotPool): number => small + big - pool.smallFree - pool.bigFree
    const out: Record<string, number> = { main: missing(this.dpif.pool), datapath: missing(this.datapath.pool) }
    for (const [name, { thread }] of this.#eswitches) if (thread?.alive) out[name] = missing(thread.core.pool)
    return Object.fromEntries(Object.entries(out).filter(([, n]) => n !== 0))
  }
}
