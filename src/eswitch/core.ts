/**
 * Tier 3: the embedded switch of one NIC. A frame of an own port that a rule matches leaves by the rule; any other goes up to the datapath. What
 * comes down is sent, past the table. Runs in one thread; the worker (worker.ts) and the pipeline tests drive it round by round.
 *
 * A frame that a `tnl_pop` rule matches is looked up once more without its outer headers (contract.ts, inside.ts). Whatever waits or goes up does so as it came. Which frame's turn it is says order.ts.
 */
import { Executor } from '../flow/execute.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey } from '../flow/key.ts'
import { Looks } from '../flow/looks.ts'
import { microflow } from '../flow/microflow.ts'
import { ReplyRing } from '../lib/reply-ring.ts'
import { type Advise, adviseBig } from '../lib/words.ts'
import { SlotPool } from '../packet/slot.ts'
import { dropIndex } from '../port/drop.ts'
import { FlowAccount } from '../port/flow-account.ts'
import { Intake, type IntakeHost } from '../port/intake.ts'
import type { Outputs } from '../port/outputs.ts'
import { wireBytes, wirePackets } from '../port/stats.ts'
import { DOZE_PORTS, RX_ROOM, STATUS_BEAT } from '../port/thread-status.ts'
import { TOGETHER, Together } from '../port/together.ts'
import { Arming } from './arming.ts'
import type { EswitchControl, EswitchEvent, EswitchPortOpen } from './control.ts'
import { GONE, STAYS, UP } from './held-frames.ts'
import { Inside, NOTHING_INSIDE } from './inside.ts'
import { Order } from './order.ts'
import { PortControl } from './port-control.ts'
import { REHEARSAL_PORT, type Rehearsal } from './rehearsal.ts'
import { RuleCommands } from './rule-commands.ts'
import { KIND_POP, KIND_PUSH } from './rule-programs.ts'
import { RuleTable } from './rule-table.ts'
import { EC_DOWN, EC_FRAMES, EC_HITS, EC_MARKERS, EC_UP, type EswitchShared, RULE_ACTIVE } from './shared.ts'
import { Sink } from './sink.ts'
import { Stalls } from './stalls.ts'
import { Uplink, type UplinkHandler } from './uplink.ts'

const RING_FULL = dropIndex('ring-full')
const PORT_DOWN = dropIndex('port-down')

const SORT_EVERY_MS = 1000

/** What the eswitch needs from its thread. */
export interface EswitchHost extends IntakeHost<EswitchPortOpen> {
  post(event: EswitchEvent): void
  readonly hugePages?: Advise
  /** Signals the datapath's eventfd. */
  wakeDatapath(): void
  /** Waits until somebody signals the thread, for a moment at most. */
  awaitSignal(): void
}

export class EswitchCore implements UplinkHandler {
  readonly pool: SlotPool
  readonly #shared: EswitchShared
  readonly #host: EswitchHost
  readonly #rules: RuleTable
  readonly #arming: Arming
  readonly #order: Order
  readonly #rehearsal: Rehearsal
  readonly #account: FlowAccount
  readonly #executor: Executor
  readonly #sink: Sink
  readonly #outputs: Outputs
  readonly #intake: Intake<EswitchPortOpen>
  readonly #stalls: Stalls
  readonly #uplink: Uplink
  readonly #replies: ReplyRing
  readonly #commands: RuleCommands
  readonly #control: PortControl
  readonly #looks: Looks
  readonly #inside: Inside
  /** Of the frame as it came. */
  #key = createKey()
  /** Of frames that wait. */
  readonly #waiting = createKey()
  readonly #together: Together
  readonly #batch = new Int32Array(RX_ROOM)
  #now = 0
  #sortAt = 0

  constructor(shared: EswitchShared, host: EswitchHost) {
    const { arena } = shared
    adviseBig(new Int32Array(shared.ruleStats.buffer), host.hugePages)
    this.#shared = shared
    this.#host = host
    this.pool = new SlotPool(arena, shared.owner)
    this.#account = new FlowAccount(arena, shared.ruleStats, shared.ruleFlags)
    this.#uplink = new Uplink(shared.up, shared.down, this.pool, () => host.wakeDatapath())
    this.#sink = new Sink(shared, this.pool, this.#uplink)
    this.#executor = new Executor(arena, this.#sink)
    this.#outputs = this.#sink.outputs
    this.#rehearsal = this.#sink.rehearsal
    this.#intake = new Intake(host, this.#outputs, (no) => host.post({ type: 'port-dead', no }))
    this.#stalls = new Stalls(this.#uplink, this.#intake)
    this.#arming = new Arming(shared.ruleState.length, (port, seq) => this.#uplink.marker(port, seq))
    this.#rules = new RuleTable(shared.ruleState, shared.ruleStats, this.#arming, host.hugePages)
    this.#looks = new Looks(arena, this.#rules.outer)
    this.#inside = new Inside(arena, this.#rules, this.#executor)
    this.#together = new Together(arena, this.#rules.outer, this.#account)
    this.#order = new Order(shared, this.#rules, this.#arming, this.#uplink, {
      runHeld: (slot, rule) => this.#runHeld(slot, rule),
      heldUp: (slot) => this.#heldUp(slot),
      goUp: (slot, no) => this.#goUp(slot, no),
    })
    this.#replies = new ReplyRing(shared.replies, () => host.post({ type: 'bell' }))
    this.#commands = new RuleCommands(shared.commands, this.#rules, this.#executor.encaps, this.#replies, () =>
      this.#order.review(),
    )
    this.#control = new PortControl({
      intake: this.#intake,
      outputs: this.#outputs,
      order: this.#order,
      stalls: this.#stalls,
      post: (event) => host.post(event),
    })
  }

  // --- the loop ---

  /** One round over everything, for tests: every port is read. */
  poll(now: number): boolean {
    const ports = Int32Array.from(this.#intake.polled)
    const busy = this.round(now, ports, 0)
    return this.round(now, ports, ports.length) || busy
  }

  round(now: number, ready: Int32Array, n: number): boolean {
    this.#setNow(now)
    let busy = false
    // First what somebody waits for; it must not wait for the rest, which is seldom something.
    for (let i = 0; i < n; i++) {
      if (!this.#receive(ready[i]!)) continue
      busy = true
      this.#outputs.flush()
    }
    if (this.#replies.flushBacklog()) busy = true
    if (this.#commands.drain()) busy = true
    this.#shared.counters[EC_MARKERS] = this.#arming.sent
    if (this.#uplink.drain(this)) busy = true
    this.#outputs.flush()
    this.#stalls.resume()
    const fenced = this.#uplink.publish()
    this.#replies.publish()
    if (fenced) this.#awaitAnswer()
    if (now >= this.#sortAt) {
      this.#sortAt = now + SORT_EVERY_MS
      this.#rules.sort()
    }
    return busy
  }

  #setNow(now: number): void {
    this.#now = now
    this.#account.now = now
    this.#stalls.now = now
  }

  /** Of the datapath, to a large batch. */
  #awaitAnswer(): void {
    if (this.#uplink.sleep()) this.#host.awaitSignal()
    this.#uplink.awake()
    if (!this.#uplink.drain(this)) return
    this.#outputs.flush()
    this.#uplink.publish()
  }

  sleep(): boolean {
    if (!this.#commands.ring.sleep()) return false
    if (this.#uplink.sleep()) return true
    this.#commands.ring.awake()
    return false
  }

  awake(): void {
    this.#commands.ring.awake()
    this.#uplink.awake()
  }

  /** Milliseconds until a round is due although nothing comes. */
  get patience(): number {
    return this.#stalls.patience
  }

  control(message: EswitchControl): void {
    this.#control.handle(message)
  }

  doze(now: number): boolean {
    this.#setNow(now)
    const { polled } = this.#intake
    let busy = false
    for (let i = 0; i < polled.length && i < DOZE_PORTS; i++) if (this.#receive(polled[i]!)) busy = true
    if (busy) this.#outputs.flush()
    else if (this.#rehearsal.known && this.pool.smallFree > 0) busy = this.round(now, this.#rehearsal.ready, 1)
    return busy
  }

  /** Frames that wait for their rules. */
  get held(): number {
    return this.#order.held
  }

  // --- frames ---

  #receive(no: number): boolean {
    const port = this.#outputs.port(no)
    if (port === undefined) return false
    const room = this.#stalls.room(no)
    if (room === 0) return this.#stalls.add(no)
    // A round over many busy ports may be long; it is no hang.
    const { status } = this.#shared
    status[STATUS_BEAT] = status[STATUS_BEAT]! + 1
    const n = port.rx(this.pool, no, this.#batch, room)
    if (n > 0) {
      if (n === 1) this.#rehearsal.saw(this.#batch[0]!, no, this.#now)
      if (no !== REHEARSAL_PORT) this.#add(EC_FRAMES, n)
      if (this.#outputs.isDown(no)) for (let i = 0; i < n; i++) this.#sink.drop(this.#batch[i]!, no, PORT_DOWN)
      else if (this.#rules.outer.many)
        for (let i = 0; i < n; i += TOGETHER) this.#arriveTogether(i, Math.min(n - i, TOGETHER), no)
      else for (let i = 0; i < n; i++) this.#arrive(this.#batch[i]!, no)
      this.#rehearsal.on = false
      return no !== REHEARSAL_PORT
    }
    this.#intake.empty(no, port, this.#now)
    return false
  }

  #arriveTogether(from: number, n: number, no: number): void {
    const together = this.#together
    together.find(this.#batch, from, n)
    for (let i = 0; i < n; i++) {
      this.#key = together.keys[i]!
      this.#decide(this.#batch[from + i]!, no, together.flows[i]!)
    }
  }

  #arrive(slot: number, no: number): void {
    const look = this.#looks.of(slot)
    look.extract(slot)
    this.#key = look.key
    this.#decide(slot, no, look.find())
  }

  /** What becomes of the frame whose key is in #key: `rule` is its, -1: none. */
  #decide(slot: number, no: number, rule: number): void {
    const rules = this.#rules
    if (rule < 0) {
      this.#miss(slot, no, this.#key)
      return
    }
    const kind = rules.kind(rule)
    if (kind === KIND_POP) this.#arriveTunnelled(slot, no, rule)
    else if (kind === KIND_PUSH && !this.#inside.fits(slot, rule)) this.#miss(slot, no, this.#key)
    else if (rules.state(rule) === RULE_ACTIVE && this.#order.free) this.#hit(slot, rule, this.#key)
    else {
      const order = microflow(this.#key)
      if (rules.state(rule) === RULE_ACTIVE && this.#order.isNext(no, order, order)) this.#hit(slot, rule, this.#key)
      else this.#hold(slot, rule, -1, order, order)
    }
  }

  /** A frame that `tnl_pop` rule `outer` matches: the rule for what is inside must say what to do with it. */
  #arriveTunnelled(slot: number, no: number, outer: number): void {
    const rules = this.#rules
    if (rules.state(outer) !== RULE_ACTIVE) {
      this.#hold(slot, outer, -1, this.#inside.microflow(slot, this.#key), microflow(this.#key))
      return
    }
    const packets = this.#packets(slot)
    const bytes = this.#bytes(slot, packets)
    const rule = this.#inside.popTo(slot)
    if (rule < 0) {
      this.#miss(slot, no, rule === NOTHING_INSIDE ? this.#key : this.#inside.key)
      return
    }
    const active = rules.state(rule) === RULE_ACTIVE
    if (!active || !this.#order.free) {
      const order = microflow(this.#inside.key)
      const outside = microflow(this.#key)
      if (!active || !this.#order.isNext(no, order, outside)) {
        this.#executor.unpop(slot)
        this.#hold(slot, outer, rule, order, outside)
        return
      }
    }
    if (!this.#rehearsal.on) this.#account.add(outer, packets, bytes)
    this.#hit(slot, rule, this.#inside.key)
  }

  #miss(slot: number, no: number, key: Int32Array): void {
    if (this.#rehearsal.on) this.#endRehearsal(slot)
    else this.#order.miss(slot, no, key)
  }

  #hold(slot: number, rule: number, inner: number, order: number, outer: number): void {
    if (this.#rehearsal.on) this.#endRehearsal(slot)
    else this.#order.hold(slot, rule, inner, order, outer)
  }

  #endRehearsal(slot: number): void {
    this.#rehearsal.forget()
    this.pool.give(slot)
  }

  /** Runs a rule on the packet that is in the key. */
  #hit(slot: number, rule: number, key: Int32Array): void {
    if (this.#rehearsal.on) this.#rehearsal.account.count(0, slot, key)
    else {
      this.#add(EC_HITS, 1)
      this.#account.count(rule, slot, key)
    }
    this.#executor.run(this.#rules.program(rule), slot)
  }

  #goUp(slot: number, no: number): void {
    if (this.#uplink.frame(slot)) this.#add(EC_UP, 1)
    else this.#sink.drop(slot, no, RING_FULL)
  }

  #heldUp(slot: number): void {
    this.#uplink.reserved(slot)
    this.#add(EC_UP, 1)
  }

  frameDown(slot: number, no: number): void {
    this.#add(EC_DOWN, 1)
    this.#sink.send(slot, no)
  }

  markerDown(port: number, seq: number, low: number, high: number): void {
    this.#order.answered(port, seq, low, high)
  }

  /** Runs active rule `rule` on a held frame: GONE; STAYS if the rule for the inner packet is not active; UP if the datapath must deal with it. */
  #runHeld(slot: number, rule: number): number {
    const rules = this.#rules
    extractFrame(this.#shared.arena, slot, this.#waiting)
    if (rules.kind(rule) !== KIND_POP) {
      if (rules.kind(rule) === KIND_PUSH && !this.#inside.fits(slot, rule)) return UP
      this.#uplink.cancel(slot)
      this.#hit(slot, rule, this.#waiting)
      return GONE
    }
    const packets = this.#packets(slot)
    const bytes = this.#bytes(slot, packets)
    const inner = this.#inside.popTo(slot)
    if (inner < 0) return UP
    if (rules.state(inner) !== RULE_ACTIVE) {
      this.#executor.unpop(slot)
      this.#order.waitFor(slot, inner)
      return STAYS
    }
    this.#uplink.cancel(slot)
    this.#account.add(rule, packets, bytes)
    this.#hit(slot, inner, this.#inside.key)
    return GONE
  }

  #packets(slot: number): number {
    return wirePackets(this.#shared.arena.bytes, this.#shared.arena.meta, slot)
  }

  #bytes(slot: number, packets: number): number {
    return wireBytes(this.#shared.arena.bytes, this.#shared.arena.meta, slot, packets)
  }

  #add(counter: number, n: number): void {
    const c = this.#shared.counters
    c[counter] = c[counter]! + n
  }
}
