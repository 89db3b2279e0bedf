/**
 * The main thread's side of an eswitch: rules (contract.ts), ports, and the life of its worker. When the worker dies or hangs, its rules are gone, tier
 * 2 polls its TAPs, and a new worker takes them over again; the guest keeps its link.
 */

import type { FlowStats } from '../datapath/contract.ts'
import type { EncapEntry } from '../flow/encap.ts'
import { encapRow } from '../flow/encap-table.ts'
import { sameMatch } from '../flow/key.ts'
import { Compiler } from '../flow/program.ts'
import type { Clock } from '../lib/clock.ts'
import { MAX_PORTS } from '../port/contract.ts'
import { STATUS_HANG, STATUS_STOP } from '../port/thread-status.ts'
import { type Eswitch, type EswitchRule, type EswitchState, ingressOf } from './contract.ts'
import type { EswitchEvent, EswitchPortOpen } from './control.ts'
import { Heartbeat } from './heartbeat.ts'
import type { AdoptedPort, DatapathSide, EswitchSpawn } from './host.ts'
import { Incarnation } from './incarnation.ts'
import type { Profile } from './profile.ts'
import { checkRule } from './rule-check.ts'
import { RuleIds } from './rule-ids.ts'
import { createEswitchMemory, createEswitchShared, type EswitchMemory, RULE_ACTIVE } from './shared.ts'

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

/** For so long a worker may take to end after it was told to. Only a thread stuck in a system call needs more. */
const END_MS = 2000
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 10_000
/** A worker that lived so long was healthy: the next restart is at once. */
const HEALTHY_MS = 5000

export class EswitchClient implements Eswitch {
  readonly name: string
  readonly switchId: string
  readonly profile: Profile
  readonly memory: EswitchMemory
  readonly #o: EswitchClientOptions
  readonly #rules: RuleIds
  readonly #compiler = new Compiler()
  readonly #ports = new Map<number, EswitchPort>()
  readonly #listeners: ((state: EswitchState) => void)[] = []
  #state: EswitchState = 'stopped'
  #life: Incarnation | undefined
  #backoff = 0
  /** Restarts since the start. */
  restarts = 0
  /** Why the last worker was lost. */
  lastLoss = ''
  readonly #heartbeat: Heartbeat
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
    this.#heartbeat = new Heartbeat(options.hangMs)
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
        life.lose('stopped')
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
    if (how === 'hang') {
      Atomics.store(life.shared.status, STATUS_HANG, 1)
      life.thread.wake()
    } else void life.thread.terminate()
    return true
  }

  /** Looks at the heartbeat. Called a few times a second. */
  check(): void {
    const life = this.#life
    const watched = this.#state === 'running' ? life?.shared.status : undefined
    const silent = this.#heartbeat.look(watched, this.#o.clock.now())
    if (life !== undefined && silent > 0) this.#lose(life, `no heartbeat for ${silent} ms`)
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
    const life = new Incarnation(this.name, shared, thread, this.#o.clock.now())
    this.#life = life
    this.#heartbeat.start()
    await datapath.attachEswitch(owner, shared.up, shared.down, thread.eventfd)
    for (const port of this.#ports.values()) await this.#handOver(life, port)
  }

  /** The worker can send first; then tier 2 lets go; then the worker reads. So nothing falls between. */
  async #handOver(life: Incarnation, port: EswitchPort): Promise<void> {
    const { no, name, open, mtu } = port
    await life.request({ type: 'port-add', no, name, open, mtu, watch: false })
    if (!port.up) life.post({ type: 'port-admin', no, up: false })
    await this.#o.datapath.release(no)
    await life.request({ type: 'port-watch', no })
  }

  #lose(life: Incarnation, why: string): void {
    if (this.#life !== life) return
    this.#life = undefined
    this.lastLoss = why
    life.lose(why)
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
        if (this.#life) await this.#life.request({ type: 'port-add', no, name, open, mtu, watch: true })
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
      if (this.#life) await this.#life.request({ type: 'port-del', no }).catch(() => {})
      await this.#o.datapath.release(no)
    })
  }

  /** Interface MTU of a port, which it must not send beyond; 0 for no limit. */
  portMtu(no: number, mtu: number): void {
    const port = this.#ports.get(no)
    if (port === undefined) return
    port.mtu = mtu
    this.#life?.post({ type: 'port-mtu', no, mtu })
  }

  /** Takes a port up or down: one that is down neither takes nor gives frames. */
  portAdmin(no: number, up: boolean): void {
    const port = this.#ports.get(no)
    if (port === undefined) return
    port.up = up
    this.#life?.post({ type: 'port-admin', no, up })
  }

  /** The interface of a port is up: poll it again if it rested. */
  portUp(no: number): void {
    this.#life?.post({ type: 'port-up', no })
  }

  #stuckError(): Error {
    return new Error(`eswitch ${this.name}: its worker's thread does not end and may use descriptors still`)
  }

  // --- rules ---

  get ruleCount(): number {
    return this.#rules.count
  }

  get capacity(): number {
    return this.profile.tableSize
  }

  /** Throws when the match leaves in_port open or the actions cannot be compiled or are none of a rule: the caller's fault. */
  rulePut(rule: EswitchRule): 'ok' | 'full' | 'down' {
    const life = this.#life
    if (life === undefined || this.#state !== 'running') return 'down'
    checkRule(rule)
    const program = this.#compiler.compile(rule.actions)
    const known = this.#rules.match(rule.id)
    if (known !== undefined && sameMatch(known, rule.match) && this.#rules.inPort(rule.id) === ingressOf(rule)) {
      life.setActions(this.#rules.index(rule.id), program)
      return 'ok'
    }
    if (known === undefined && this.#rules.count >= this.capacity) return 'full'
    if (known !== undefined) this.ruleDel(rule.id)
    const index = this.#rules.add(rule)
    if (index < 0) return 'full'
    life.putRule(index, rule.match, ingressOf(rule), program)
    return 'ok'
  }

  ruleDel(id: number, gone: (final: FlowStats) => void = () => {}): void {
    const index = this.#rules.remove(id, gone)
    if (index >= 0) this.#life?.delRule(index)
  }

  /** For rules lost with their worker: the last statistics, until the next worker runs. */
  ruleStats(id: number, out: FlowStats): boolean {
    return this.#rules.stats(id, out)
  }

  ruleActive(id: number): boolean {
    const index = this.#rules.index(id)
    const state = this.#life?.shared.ruleState
    return index >= 0 && state !== undefined && Atomics.load(state, index) === RULE_ACTIVE
  }

  ruleIds(): Iterable<number> {
    return this.#rules.ids()
  }

  /** Throws ProgramError or RangeError for an entry that cannot be run: the caller's fault. One that is not 'ready' is none of an eswitch: 'down'. */
  encapPut(entry: EncapEntry): 'ok' | 'down' {
    const life = this.#life
    if (life === undefined || this.#state !== 'running' || entry.state !== 'ready') return 'down'
    life.putEncap(encapRow(entry))
    return 'ok'
  }

  encapDel(id: number): void {
    this.#life?.delEncap(id)
  }

  // --- rings ---

  #receive(life: Incarnation, event: EswitchEvent): void {
    if (this.#life !== life) return
    if (event.type === 'bell') this.pump()
    else if (event.type === 'port-dead') this.#portDead(event.no)
    else life.answered(event)
  }

  /** Handles waiting replies and sends what waits. True if there was a reply. Called on the worker's bell and, in tests, every step. */
  pump(): boolean {
    return this.#life?.pump((index) => this.#rules.gone(index)) ?? false
  }
}
