/** A datapath and an eswitch that forward nothing: they keep the books as their contracts say, and the test plays the traffic. */

import type { DpFlow, Dpif, DpifCounters, DpPort, FlowStats } from '../../../src/datapath/contract.ts'
import type { Eswitch, EswitchRule, EswitchState } from '../../../src/eswitch/contract.ts'
import type { Profile } from '../../../src/eswitch/profile.ts'
import { parseProfile } from '../../../src/eswitch/profile-file.ts'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { createMatch, K_DL_TYPE, K_ETH, K_IN_PORT, type Match } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import type { Scheduler } from '../../../src/lib/scheduler.ts'
import { OffloadModule, type OffloadOptions } from '../../../src/offload/module.ts'
import { outputPorts, pushedEntries } from '../../../src/offload/pushes.ts'
import { createStats } from '../../../src/offload/rule-account.ts'

export const hit = (stats: FlowStats, clock: ManualClock, packets = 1): void => {
  stats.packets += packets
  stats.bytes += packets * 98
  stats.used = clock.now()
}

export interface HeldRule {
  readonly rule: EswitchRule
  readonly stats: FlowStats
}

/** `late`: goodbyes wait until `flush`, as with a worker. */
export class FakeDpif implements Dpif {
  readonly flowLimit = 1000
  readonly log: string[]
  readonly table = new Map<number, { flow: DpFlow; stats: FlowStats }>()
  readonly portList = new Map<number, DpPort>()
  late: (() => void)[] | undefined
  #nextId = 0
  readonly #free: number[] = []

  constructor(log: string[] = []) {
    this.log = log
  }

  get arena(): never {
    throw new Error('the fake has no arena')
  }
  get pool(): never {
    throw new Error('the fake has no pool')
  }
  setFlowLimit(): void {}
  flowNew(): number {
    return this.#free.pop() ?? this.#nextId++
  }
  flowPut(flow: DpFlow): void {
    this.log.push(`dp put ${flow.id}`)
    const old = this.table.get(flow.id)
    if (old) old.flow = flow
    else this.table.set(flow.id, { flow, stats: createStats() })
  }
  flowDel(id: number, gone?: (final: FlowStats) => void): void {
    this.log.push(`dp del ${id}`)
    const entry = this.table.get(id)
    this.table.delete(id)
    const done = (): void => {
      this.#free.push(id)
      gone?.({ ...(entry?.stats ?? createStats()) })
    }
    if (this.late) this.late.push(done)
    else done()
  }
  flush(): void {
    for (const done of this.late?.splice(0) ?? []) done()
  }
  flow(id: number): DpFlow | undefined {
    return this.table.get(id)?.flow
  }
  *flows(): Iterable<DpFlow> {
    for (const { flow } of this.table.values()) yield flow
  }
  get flowCount(): number {
    return this.table.size
  }
  flowStats(id: number, out: FlowStats): boolean {
    const entry = this.table.get(id)
    if (entry) Object.assign(out, entry.stats)
    return entry !== undefined
  }
  onUpcall(): void {}
  upcallDone(): void {}
  execute(): void {}
  readonly encaps = new Map<number, EncapEntry>()
  tooBig: ((slot: number, encap: number) => void) | undefined

  encapPut(entry: EncapEntry): void {
    this.log.push(`dp encap ${entry.id}`)
    this.encaps.set(entry.id, entry)
  }

  encapDel(id: number): void {
    this.encaps.delete(id)
  }

  onTooBig(handler: (slot: number, encap: number) => void): void {
    this.tooBig = handler
  }

  /** Set by a test: what `barrier` waits for. */
  applied: Promise<void> = Promise.resolve()

  barrier(): Promise<void> {
    return this.applied
  }
  counters(_out: DpifCounters): void {}
  ports(): Iterable<DpPort> {
    return this.portList.values()
  }
  port(no: number): DpPort | undefined {
    return this.portList.get(no)
  }
}

export class FakeEswitch implements Eswitch {
  readonly name: string
  readonly switchId: string
  readonly profile: Profile
  readonly log: string[]
  readonly members = new Set<number>()
  readonly rules = new Map<number, HeldRule>()
  state: EswitchState = 'running'
  late: (() => void)[] | undefined
  /** A rule takes its place until its goodbye. */
  placeUntilGone = false
  /** A replaced rule counts from zero. */
  restartOnReplace = false
  readonly #leaving = new Map<number, EswitchRule>()
  /** Last statistics of rules that died with the worker, until the next one runs. */
  readonly #lost = new Map<number, FlowStats>()
  readonly #listeners: ((state: EswitchState) => void)[] = []

  constructor(name: string, switchId: string, profile: Profile, log: string[] = []) {
    this.name = name
    this.switchId = switchId
    this.profile = profile
    this.log = log
  }

  hasPort(no: number): boolean {
    return this.members.has(no)
  }
  get ruleCount(): number {
    return this.rules.size + (this.placeUntilGone ? this.#leaving.size : 0)
  }
  get capacity(): number {
    return this.profile.tableSize
  }
  readonly encaps = new Map<number, EncapEntry>()

  encapPut(entry: EncapEntry): 'ok' | 'down' {
    if (this.state !== 'running') return 'down'
    if (entry.state !== 'ready') throw new Error(`entry ${entry.id} is ${entry.state}`)
    for (const port of outputPorts(entry.actions))
      if (!this.members.has(port)) throw new Error(`entry ${entry.id} leaves by port ${port}, which is elsewhere`)
    this.log.push(`${this.name} encap ${entry.id}`)
    this.encaps.set(entry.id, entry)
    return 'ok'
  }

  encapDel(id: number): void {
    for (const rule of [...[...this.rules.values()].map(({ rule }) => rule), ...this.#leaving.values()])
      if (pushedEntries(rule.actions).includes(id))
        throw new Error(`entry ${id} is removed while rule ${rule.id} is there`)
    if (!this.encaps.delete(id)) throw new Error(`entry ${id} is removed but not there`)
    this.log.push(`${this.name} encap del ${id}`)
  }

  rulePut(rule: EswitchRule): 'ok' | 'full' | 'down' {
    if (this.state !== 'running') return 'down'
    const old = this.rules.get(rule.id)
    if (!old && this.ruleCount >= this.capacity) return 'full'
    if (this.#leaving.has(rule.id)) throw new Error(`rule ${rule.id} is put again before its goodbye`)
    for (const entry of pushedEntries(rule.actions))
      if (!this.encaps.has(entry)) throw new Error(`rule ${rule.id} names entry ${entry}, which is not there`)
    this.log.push(`${this.name} put ${rule.id}`)
    this.rules.set(rule.id, { rule, stats: old && !this.restartOnReplace ? old.stats : createStats() })
    return 'ok'
  }
  ruleDel(id: number, gone?: (final: FlowStats) => void): void {
    this.log.push(`${this.name} del ${id}`)
    const entry = this.rules.get(id)
    if (!entry) throw new Error(`rule ${id} is removed but not there`)
    this.rules.delete(id)
    this.#leaving.set(id, entry.rule)
    const done = (): void => {
      this.#leaving.delete(id)
      gone?.({ ...entry.stats })
    }
    if (this.late) this.late.push(done)
    else done()
  }
  flush(): void {
    for (const done of this.late?.splice(0) ?? []) done()
  }
  ruleStats(id: number, out: FlowStats): boolean {
    const stats = this.rules.get(id)?.stats ?? this.#lost.get(id)
    if (stats) Object.assign(out, stats)
    return stats !== undefined
  }
  ruleActive(id: number): boolean {
    return this.rules.has(id)
  }
  ruleIds(): Iterable<number> {
    return this.rules.keys()
  }
  onState(listener: (state: EswitchState) => void): void {
    this.#listeners.push(listener)
  }
  setState(state: EswitchState): void {
    this.state = state
    if (state !== 'running') {
      for (const [id, { stats }] of this.rules) this.#lost.set(id, stats)
      this.rules.clear()
      this.encaps.clear()
    }
    for (const listener of this.#listeners) listener(state)
    if (state === 'running') this.#lost.clear()
  }
}

/** Like the one of src/lib, with the clock that everything else has, and steps of whole rounds. */
export class RoundScheduler implements Scheduler {
  readonly #clock: ManualClock
  #soon: (() => void)[] = []
  readonly #timers = new Set<{ readonly at: number; readonly work: () => void }>()
  slices = 0

  constructor(clock: ManualClock) {
    this.#clock = clock
  }
  soon(work: () => void): void {
    this.#soon.push(work)
  }
  after(ms: number, work: () => void): () => void {
    const timer = { at: this.#clock.now() + ms, work }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }
  elapsed(): number {
    return this.#clock.now()
  }
  /** One round of what is due now; false when nothing was. */
  step(): boolean {
    const due = this.#soon
    this.#soon = []
    for (const work of due) work()
    this.slices += due.length
    return due.length > 0
  }
  drain(): void {
    for (let i = 0; this.step(); i++) if (i > 100_000) throw new Error('deferred work does not end')
  }
  advance(ms: number): void {
    this.#clock.advance(ms)
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#clock.now()) continue
      this.#timers.delete(timer)
      timer.work()
    }
    this.drain()
  }
}

export const profileOf = (over: Record<string, unknown> = {}): Profile =>
  parseProfile(
    JSON.stringify({
      name: 'test',
      'table-size': 4,
      match: 'all',
      actions: ['output', 'push_vlan', 'pop_vlan', 'set', 'clone', 'tnl_push', 'tnl_pop', 'drop'],
      set: 'all',
      'max-outputs': 8,
      ...over,
    }),
    'test',
  )

export const output = (port: number): OdpAction => ({ type: 'output', port })

/** in_port exact, dl_dst's first word as given. */
export const matchOf = (inPort: number, dst = 0, edit?: (match: Match) => void): Match => {
  const match = createMatch()
  match.key[K_IN_PORT] = inPort
  match.mask[K_IN_PORT] = -1
  match.key[K_ETH] = dst
  match.mask[K_ETH] = -1
  match.mask[K_DL_TYPE] = 0xffff0000 | 0
  edit?.(match)
  return match
}

/** nic0: vf0 1, vf1 2, p0 3. nic1: vf2 4. 5 is a plain TAP. */
export const createRig = (
  options: {
    profile?: Record<string, unknown>
    profile1?: Record<string, unknown>
    offload?: Partial<OffloadOptions>
  } = {},
) => {
  const log: string[] = []
  const clock = new ManualClock()
  const scheduler = new RoundScheduler(clock)
  const dpif = new FakeDpif(log)
  const nic0 = new FakeEswitch('nic0', '0a:00:00:00:00:01', profileOf(options.profile), log)
  const nic1 = new FakeEswitch('nic1', '0a:00:00:00:00:02', profileOf(options.profile1), log)
  const port = (no: number, name: string, eswitch?: FakeEswitch): void => {
    dpif.portList.set(no, {
      no,
      name,
      kind: eswitch ? 'representor' : 'tap',
      ...(eswitch ? { eswitch: eswitch.name } : {}),
    })
    eswitch?.members.add(no)
  }
  port(1, 'vf0', nic0)
  port(2, 'vf1', nic0)
  port(3, 'p0', nic0)
  port(4, 'vf2', nic1)
  port(5, 'tap9')
  const module = new OffloadModule(dpif, { clock, scheduler, sliceMs: 0, eswitches: [nic0, nic1], ...options.offload })
  const put = (match: Match, actions: readonly OdpAction[], id = module.flowNew()): number => {
    module.flowPut({ id, ufid: `00000000-0000-0000-0000-${String(id).padStart(12, '0')}`, match, actions })
    return id
  }
  /** What the eswitches have for a flow, whatever the module says: its rules share the flow's mask. */
  const rulesOf = (id: number): HeldRule[] => {
    const mask = dpif.table.get(id)?.flow.match.mask
    return [...nic0.rules.values(), ...nic1.rules.values()].filter(({ rule }) => rule.match.mask === mask)
  }
  /** Traffic on a flow: by the eswitch if it has the rule, by the datapath if not. */
  const traffic = (id: number, packets = 1): void => {
    const carried = rulesOf(id)[0] ?? dpif.table.get(id)
    if (carried) hit(carried.stats, clock, packets)
  }
  const stats = (id: number): FlowStats => {
    const out = createStats()
    if (!module.flowStats(id, out)) throw new Error(`no flow ${id}`)
    return out
  }
  /** The verdict's code: 'offloaded' or the check. */
  const code = (id: number): string => {
    const verdict = module.verdict(id)
    if (!verdict) throw new Error(`flow ${id} has no verdict`)
    return verdict.state === 'offloaded' ? 'offloaded' : verdict.check
  }
  return { log, clock, scheduler, dpif, nic0, nic1, module, put, rulesOf, traffic, stats, code }
}
