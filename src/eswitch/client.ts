/**
 * The main thread's side of an eswitch: rules (contract.ts), ports, and the life of its worker. When the worker dies or hangs, its rules are gone, tier
 * 2 polls its TAPs, and a new worker takes them over again; the guest keeps its link.
 */

import type { FlowStats } from '../datapath/contract.ts'
import type { EncapEntry } from '../flow/encap.ts'
import { K_DP_WORDS, K_IN_PORT, type Match } from '../flow/key.ts'
import { compileActions } from '../flow/program.ts'
import { flowRecordWords, writeFlowRecord } from '../flow/program-record.ts'
import type { Clock } from '../lib/clock.ts'
import { CommandWriter } from '../lib/command-writer.ts'
import { RingConsumer } from '../lib/ring.ts'
import { MAX_PORTS } from '../port/contract.ts'
import { STATUS_BEAT, STATUS_HANG, STATUS_STOP } from '../port/thread-status.ts'
import type { Eswitch, EswitchRule, EswitchState } from './contract.ts'
import {
  type EswitchControl,
  type EswitchEvent,
  type EswitchPortOpen,
  RULE_ACTIONS,
  RULE_DEL,
  RULE_GONE,
  RULE_PUT,
} from './control.ts'
import type { AdoptedPort, DatapathSide, EswitchSpawn, EswitchThread } from './host.ts'
import type { Profile } from './profile.ts'
import { RuleIds } from './rule-ids.ts'
import {
  createEswitchMemory,
  createEswitchShared,
  type EswitchMemory,
  type EswitchShared,
  RULE_ACTIVE,
} from './shared.ts'

export interface EswitchClientOptions {
  readonly name: string
  readonly switchId: string
  readonly profile: Profile
  readonly datapath: DatapathSide
  readonly spawn: EswitchSpawn
  readonly clock: Clock
  /** A heartbeat that stands still for so long means that the worker hangs. */
  readonly hangMs?: number
  /** Runs `task` after `ms`, for restarts; default setTimeout. */
  readonly after?: (ms: number, task: () => void) => void
}

interface EswitchPort extends AdoptedPort {
  mtu: number
  up: boolean
}

/** A worker and what belongs to its life. */
interface Incarnation {
  readonly shared: EswitchShared
  readonly thread: EswitchThread
  readonly commands: CommandWriter
  readonly replies: RingConsumer
  readonly requests: Map<number, { resolve: () => void; reject: (error: Error) => void }>
  readonly startedAt: number
}

type Request = EswitchControl extends infer C ? (C extends { seq: number } ? Omit<C, 'seq'> : never) : never

/**
 * A worker beats at least ten times a second, idle or not (thread-status.ts), and with every batch that it reads, so that no amount of work keeps it from beating for
 * more than some 30 ms. This leaves it five beats: as much as a machine with more threads than cores may keep one of them waiting. A false alarm costs a moment without
 * offload and no frame.
 */
const HANG_MS = 500
/** For so long a worker may take to end after it was told to. Only a thread stuck in a system call needs more. */
const END_MS = 2000
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 10_000
/** A worker that lived so long was healthy: the next restart is at once. */
const HEALTHY_MS = 5000

const sameMatch = (a: Match, b: Match): boolean => {
  for (let w = 0; w < K_DP_WORDS; w++)
    if (a.mask[w] !== b.mask[w] || (a.key[w]! & a.mask[w]!) !== (b.key[w]! & b.mask[w]!)) return false
  return true
}

export class EswitchClient implements Eswitch {
  readonly name: string
  readonly switchId: string
  readonly profile: Profile
  readonly memory: EswitchMemory
  readonly #o: EswitchClientOptions
  readonly #rules: RuleIds
  readonly #ports = new Map<number, EswitchPort>()
  readonly #listeners: ((state: EswitchState) => void)[] = []
  #state: EswitchState = 'stopped'
  #life: Incarnation | undefined
  #seq = 0
  #scheduled = false
  #backoff = 0
  /** Restarts since the start. */
  restarts = 0
  /** Why the last worker was lost. */
  lastLoss = ''
  #lastBeat = 0
  /** Milliseconds without a beat, as far as main has looked on. */
  #silent = 0
  #lastCheckAt = 0
  /** The thread of a worker that was told to end and does not. It may still use descriptors. */
  #stuck: Promise<void> | undefined
  #portDead: (no: number) => void = () => {}
  /** Changes of the set of ports and of the worker's life happen one after the other. */
  #chain: Promise<void> = Promise.resolve()

  constructor(options: EswitchClientOptions) {
    this.#o = options
    this.name = options.name
    this.switchId = options.switchId
    this.profile = options.profile
    // Twice the table: indices of rules that are being removed are not free yet.
    this.memory = createEswitchMemory(options.profile.tableSize * 2 + 16)
    this.#rules = new RuleIds(this.memory)
  }

  // --- life ---

  get state(): EswitchState {
    return this.#state
  }

  onState(listener: (state: EswitchState) => void): void {
    this.#listeners.push(listener)
  }

  /** Called once for each port whose descriptor turned out dead. */
  onPortDead(listener: (no: number) => void): void {
    this.#portDead = listener
  }

  /** Starts the worker. Resolves when it runs. */
  start(): Promise<void> {
    return this.#serial(async () => {
      if (this.#state !== 'stopped') throw new Error(`eswitch ${this.name} is ${this.#state} already`)
      await this.#startLife()
      this.#setState('running')
    })
  }

  /** Ends the worker for good; its ports are let go. Rejects when its thread does not end, which may still use their descriptors then. */
  async stop(): Promise<void> {
    const life = this.#life
    this.#life = undefined
    if (this.#state === 'running') this.#rules.lose()
    const was = this.#state
    if (was !== 'stopped') this.#setState('stopped')
    await this.#serial(async () => {
      if (life) {
        Atomics.store(life.shared.status, STATUS_STOP, 1)
        life.thread.wake()
        this.#failRequests(life, 'stopped')
        await this.#ends(life)
      }
      if (this.#stuck && !(await this.#inTime(this.#stuck))) throw this.#stuckError()
      if (was === 'stopped') return
      for (const no of this.#ports.keys()) await this.#o.datapath.release(no)
      await this.#o.datapath.detachEswitch(this.#o.datapath.eswitchOwner(this.name), [])
      this.#o.datapath.eswitchForget(this.name)
      this.#ports.clear()
    })
  }

  /** The worker's shared status words (port/thread-status.ts), for tests that make it hang; undefined without a worker. */
  get status(): Int32Array | undefined {
    return this.#life?.shared.status
  }

  /** Rehearses a fault: the worker ends at once, or stands still until its missing heartbeat is noticed. False when none runs. */
  fail(how: 'crash' | 'hang'): boolean {
    const life = this.#life
    if (life === undefined || this.#state !== 'running') return false
    if (how === 'hang') Atomics.store(life.shared.status, STATUS_HANG, 1)
    else void life.thread.terminate()
    return true
  }

  /** Looks at the heartbeat. Called a few times a second. */
  check(): void {
    const life = this.#life
    const now = this.#o.clock.now()
    const hangMs = this.#o.hangMs ?? HANG_MS
    // A pause of main, which may be one of the whole machine, says nothing about the worker: it has until the next look to beat.
    const passed = Math.min(now - this.#lastCheckAt, hangMs / 2)
    this.#lastCheckAt = now
    if (life === undefined || this.#state !== 'running') return
    const beat = Atomics.load(life.shared.status, STATUS_BEAT)
    if (beat !== this.#lastBeat) {
      this.#lastBeat = beat
      this.#silent = 0
      return
    }
    this.#silent += passed
    if (this.#silent >= hangMs) this.#lose(life, `no heartbeat for ${this.#silent} ms`)
  }

  async #startLife(): Promise<void> {
    const { datapath } = this.#o
    const owner = datapath.eswitchOwner(this.name)
    const shared = createEswitchShared(datapath.arena, owner, this.memory)
    const thread = this.#o.spawn(
      shared,
      (event) => this.#receive(life, event),
      (why) => this.#lose(life, why),
    )
    const life: Incarnation = {
      shared,
      thread,
      commands: new CommandWriter(shared.commands, () => thread.wake()),
      replies: new RingConsumer(shared.replies),
      requests: new Map(),
      startedAt: this.#o.clock.now(),
    }
    life.replies.sleep()
    this.#life = life
    this.#silent = 0
    await datapath.attachEswitch(owner, shared.up, shared.down, thread.eventfd)
    for (const port of this.#ports.values()) await this.#handOver(life, port)
  }

  /** The worker can send first; then tier 2 lets go; then the worker reads. So nothing falls between. */
  async #handOver(life: Incarnation, port: EswitchPort): Promise<void> {
    const { no, name, open, mtu } = port
    await this.#request(life, { type: 'port-add', no, name, open, mtu, watch: false })
    if (!port.up) this.#post({ type: 'port-admin', no, up: false })
    await this.#o.datapath.release(no)
    await this.#request(life, { type: 'port-watch', no })
  }

  #lose(life: Incarnation, why: string): void {
    if (this.#life !== life) return
    this.#life = undefined
    this.lastLoss = why
    this.#failRequests(life, why)
    const wasRunning = this.#state === 'running'
    if (wasRunning) {
      this.#rules.lose()
      this.#setState('restarting')
    }
    const age = this.#o.clock.now() - life.startedAt
    this.#backoff = age >= HEALTHY_MS ? 0 : Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, this.#backoff * 2))
    void this.#serial(async () => {
      if (await this.#ends(life)) await this.#replace()
      else void life.thread.terminate().then(() => this.#serial(() => this.#replace()))
    })
  }

  /**
   * Ends the worker's thread. False when it has not ended in time: it is stuck in the kernel, and may read and write its descriptors when it comes out. So nobody else
   * polls them before it is gone (two threads would take each other's frames), and frames wait in the TAPs; but everything else goes on.
   */
  async #ends(life: Incarnation): Promise<boolean> {
    const ended = life.thread.terminate()
    this.#stuck = ended
    void ended.then(() => {
      if (this.#stuck === ended) this.#stuck = undefined
    })
    if (await this.#inTime(ended)) return true
    this.lastLoss += `; its thread has not ended within ${END_MS} ms`
    return false
  }

  #inTime(ended: Promise<void>): Promise<boolean> {
    return Promise.race([
      ended.then(() => true),
      new Promise<boolean>((resolve) => this.#after(END_MS, () => resolve(false))),
    ])
  }

  #after(ms: number, task: () => void): void {
    const after = this.#o.after ?? ((ms, task) => void setTimeout(task, ms).unref())
    after(ms, task)
  }

  /** The worker is gone: tier 2 takes over, and a new one is started later. */
  async #replace(): Promise<void> {
    if (this.#state === 'stopped') return
    const owner = this.#o.datapath.eswitchOwner(this.name)
    await this.#o.datapath.detachEswitch(owner, [...this.#ports.values()])
    this.#after(this.#backoff, () => this.#restart())
  }

  #restart(): void {
    void this.#serial(async () => {
      if (this.#state !== 'restarting') return
      this.restarts++
      try {
        await this.#startLife()
      } catch {
        // The new worker was lost while it started: that has its own restart under way.
        return
      }
      if (this.#state !== 'restarting') return
      this.#setState('running')
      this.#rules.forgetLost()
    })
  }

  #setState(state: EswitchState): void {
    this.#state = state
    for (const listener of this.#listeners) listener(state)
  }

  #serial(task: () => Promise<void>): Promise<void> {
    const done = this.#chain.then(task)
    this.#chain = done.catch(() => {})
    return done
  }

  // --- ports ---

  hasPort(no: number): boolean {
    return this.#ports.has(no)
  }

  /**
   * Gives a TAP to the eswitch. Its representor (same number) is added to the datapath by the caller, before. Resolves when the port is polled, by the worker or, while that
   * is being replaced, by tier 2.
   */
  portAdd(no: number, name: string, open: EswitchPortOpen, mtu = 0): Promise<void> {
    if (no < 0 || no >= MAX_PORTS) throw new RangeError(`port number ${no}: 0..${MAX_PORTS - 1} expected`)
    return this.#serial(async () => {
      if (this.#ports.has(no)) throw new Error(`eswitch ${this.name} has a port ${no} already`)
      if (this.#state === 'stopped') throw new Error(`eswitch ${this.name} is stopped`)
      const port: EswitchPort = { no, name, open, mtu, up: true }
      this.#ports.set(no, port)
      try {
        if (this.#life) await this.#request(this.#life, { type: 'port-add', no, name, open, mtu, watch: true })
        else await this.#o.datapath.adopt(no, name, open)
      } catch (error) {
        // Lost meanwhile: then the port is adopted with the others.
        if (this.#life) {
          this.#ports.delete(no)
          throw error
        }
      }
    })
  }

  /** Takes it away. Resolves when nobody uses the descriptor any more; rejects when a worker that does not end may. Its rules are the caller's to remove. */
  portDel(no: number): Promise<void> {
    return this.#serial(async () => {
      if (!this.#ports.has(no)) return
      if (this.#stuck && !(await this.#inTime(this.#stuck))) throw this.#stuckError()
      this.#ports.delete(no)
      if (this.#life) await this.#request(this.#life, { type: 'port-del', no }).catch(() => {})
      await this.#o.datapath.release(no)
    })
  }

  /** Interface MTU of a port, which it must not send beyond; 0 for no limit. */
  portMtu(no: number, mtu: number): void {
    const port = this.#ports.get(no)
    if (port === undefined) return
    port.mtu = mtu
    this.#post({ type: 'port-mtu', no, mtu })
  }

  /** Takes a port up or down: one that is down neither takes nor gives frames. */
  portAdmin(no: number, up: boolean): void {
    const port = this.#ports.get(no)
    if (port === undefined) return
    port.up = up
    this.#post({ type: 'port-admin', no, up })
  }

  /** The interface of a port is up: poll it again if it rested. */
  portUp(no: number): void {
    this.#post({ type: 'port-up', no })
  }

  #post(message: EswitchControl): void {
    this.#life?.thread.post(message)
    this.#life?.thread.wake()
  }

  #request(life: Incarnation, request: Request): Promise<void> {
    const seq = this.#seq++
    return new Promise((resolve, reject) => {
      if (this.#life !== life) {
        reject(new Error(`eswitch ${this.name}: its worker is gone`))
        return
      }
      life.requests.set(seq, { resolve, reject })
      life.thread.post({ ...request, seq } as EswitchControl)
      life.thread.wake()
    })
  }

  #stuckError(): Error {
    return new Error(`eswitch ${this.name}: its worker's thread does not end and may use descriptors still`)
  }

  #failRequests(life: Incarnation, why: string): void {
    for (const { reject } of life.requests.values())
      reject(new Error(`eswitch ${this.name}: its worker is gone (${why})`))
    life.requests.clear()
  }

  // --- rules ---

  get ruleCount(): number {
    return this.#rules.count
  }

  get capacity(): number {
    return this.profile.tableSize
  }

  /** Throws when the match leaves in_port open or the actions cannot be compiled: the caller's fault. */
  encapPut(entry: EncapEntry): 'ok' | 'down' {
    return entry.state === 'ready' ? 'ok' : 'down'
  }

  encapDel(_id: number): void {}

  rulePut(rule: EswitchRule): 'ok' | 'full' | 'down' {
    const life = this.#life
    if (life === undefined || this.#state !== 'running') return 'down'
    if (rule.match.mask[K_IN_PORT] !== -1) throw new Error(`rule ${rule.id}: an exact match on in_port expected`)
    const program = compileActions(rule.actions)
    const known = this.#rules.get(rule.id)
    if (known !== undefined && sameMatch(known.rule.match, rule.match)) {
      this.#rules.replace(rule)
      this.#send(life, 2 + program.length, RULE_ACTIONS, known.index, program)
      return 'ok'
    }
    if (known === undefined && this.#rules.count >= this.capacity) return 'full'
    if (known !== undefined) this.ruleDel(rule.id)
    const index = this.#rules.add(rule)
    if (index < 0) return 'full'
    this.#send(life, 2 + flowRecordWords(rule.match, program), RULE_PUT, index, program, rule.match)
    return 'ok'
  }

  ruleDel(id: number, gone: (final: FlowStats) => void = () => {}): void {
    const index = this.#rules.remove(id, gone)
    if (index >= 0 && this.#life) this.#send(this.#life, 2, RULE_DEL, index)
  }

  /** For rules lost with their worker: the last statistics, until the next worker runs. */
  ruleStats(id: number, out: FlowStats): boolean {
    return this.#rules.stats(id, out)
  }

  ruleActive(id: number): boolean {
    const known = this.#rules.get(id)
    return (
      known !== undefined &&
      this.#life !== undefined &&
      Atomics.load(this.#life.shared.ruleState, known.index) === RULE_ACTIVE
    )
  }

  ruleIds(): Iterable<number> {
    return this.#rules.ids()
  }

  // --- rings ---

  #receive(life: Incarnation, event: EswitchEvent): void {
    if (this.#life !== life) return
    if (event.type === 'bell') this.pump()
    else if (event.type === 'port-dead') this.#portDead(event.no)
    else {
      const promised = life.requests.get(event.seq)
      life.requests.delete(event.seq)
      if (event.error === undefined) promised?.resolve()
      else promised?.reject(new Error(event.error))
    }
  }

  /** Handles waiting replies and sends what waits. True if there was a reply. Called on the worker's bell and, in tests, every step. */
  pump(): boolean {
    const life = this.#life
    if (life === undefined) return false
    const words = life.replies.words
    let any = false
    do {
      life.replies.awake()
      for (let at = life.replies.next(); at >= 0; at = life.replies.next()) {
        any = true
        if (words[at] === RULE_GONE) this.#rules.gone(words[at + 1]!)
      }
      life.replies.release()
    } while (!life.replies.sleep())
    this.#flush()
    return any
  }

  #flush(): void {
    const life = this.#life
    if (life === undefined || life.commands.flush()) return
    setTimeout(() => this.#flush(), 1).unref()
  }

  #send(life: Incarnation, n: number, op: number, index: number, program?: Int32Array, match?: Match): void {
    const { words, at } = life.commands.reserve(n)
    words[at] = op
    words[at + 1] = index
    if (match !== undefined && program !== undefined) writeFlowRecord(words, at + 2, match, program)
    else if (program !== undefined) words.set(program, at + 2)
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#flush()
    })
  }
}
