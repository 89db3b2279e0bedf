/**
 * Tier 3: the embedded switch of one NIC. A frame of an own port that a rule matches leaves by the rule; any other goes up to the datapath. What
 * comes down is sent, past the table. Runs in one thread; the worker (worker.ts) and the pipeline tests drive it round by round.
 */
import { FlowCache } from '../flow/cache.ts'
import {
  type ExecuteSink,
  Executor,
  LOST_FLOW_DROP,
  LOST_MALFORMED,
  LOST_NEIGHBOUR_QUEUE,
  LOST_NO_COPY,
  LOST_TRANSLATION,
  LOST_TUNNEL_MTU,
} from '../flow/execute.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey, K_IN_PORT } from '../flow/key.ts'
import { microflow } from '../flow/microflow.ts'
import { readFlowRecord } from '../flow/program-record.ts'
import { ReplyRing } from '../lib/reply-ring.ts'
import { RingConsumer } from '../lib/ring.ts'
import { HEADROOM, M_LEN, M_OWNER, M_PORT, M_USER, META_WORDS, SlotPool, SMALL_SIZE } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'
import { dropIndex } from '../port/drop.ts'
import { FlowAccount } from '../port/flow-account.ts'
import { Intake, type IntakeHost } from '../port/intake.ts'
import { STALL_MS } from '../port/link.ts'
import { Outputs } from '../port/outputs.ts'
import { countDrop } from '../port/stats.ts'
import { BATCH, STATUS_BEAT } from '../port/thread-status.ts'
import { Arming } from './arming.ts'
import { Behind } from './behind.ts'
import type { EswitchControl, EswitchEvent, EswitchPortOpen } from './control.ts'
import { RULE_ACTIONS, RULE_DEL, RULE_GONE, RULE_PUT } from './control.ts'
import {
  EC_DOWN,
  EC_FRAMES,
  EC_HELD,
  EC_HITS,
  EC_MARKERS,
  EC_UP,
  type EswitchShared,
  RULE_ACTIVE,
  RULE_ARMED,
  RULE_NONE,
} from './shared.ts'
import { Uplink, type UplinkHandler } from './uplink.ts'

const RING_FULL = dropIndex('ring-full')
const NO_PORT = dropIndex('no-port')
const COPY_NO_SLOT = dropIndex('copy-no-slot')
const TRANSLATION = dropIndex('translation')
const PORT_DOWN = dropIndex('port-down')

const LOST: Int32Array = (() => {
  const table = new Int32Array(4)
  table[LOST_FLOW_DROP] = dropIndex('flow-drop')
  table[LOST_MALFORMED] = dropIndex('action-malformed')
  table[LOST_TRANSLATION] = TRANSLATION
  table[LOST_NO_COPY] = COPY_NO_SLOT
  return table
})()

const NO_ACTIONS = new Int32Array(0)
/** Frames that wait for their rule to become active, over all rules. */
const MAX_HELD = 512
/** Part of the big slots that held frames may take. */
const HELD_BIG = 0.25
const COMMANDS_A_ROUND = 256
const SORT_EVERY_MS = 1000
/** Frames for which there must be room before a stalled port is read again. */
const STALL_ROOM = 8
/** Rule index and microflow of a held slot. */
const U_RULE = M_USER
const U_ORDER = M_USER + 1

/** What the eswitch needs from its thread. */
export interface EswitchHost extends IntakeHost<EswitchPortOpen> {
  post(event: EswitchEvent): void
  /** Signals the datapath's eventfd. */
  wakeDatapath(): void
}

export class EswitchCore implements ExecuteSink, UplinkHandler {
  readonly pool: SlotPool
  readonly #shared: EswitchShared
  readonly #meta: Int32Array
  readonly #host: EswitchHost
  readonly #cache = new FlowCache()
  readonly #programs: Int32Array[]
  readonly #state: Uint8Array
  readonly #arming: Arming
  readonly #behind = new Behind()
  /** By rule: its ingress port, -1 for none; by port: its rules. */
  readonly #rulePort: Int32Array
  readonly #rulesAt = new Int32Array(MAX_PORTS)
  readonly #account: FlowAccount
  readonly #executor: Executor
  readonly #outputs: Outputs
  readonly #intake: Intake<EswitchPortOpen>
  readonly #uplink: Uplink
  readonly #replies: ReplyRing
  readonly #commands: RingConsumer
  readonly #held = new Int32Array(MAX_HELD)
  #heldCount = 0
  #heldBig = 0
  readonly #key = createKey()
  readonly #ruleMask = createKey()
  readonly #ruleKey = createKey()
  readonly #batch = new Int32Array(BATCH)
  readonly #activate = (index: number): void => {
    this.#setState(index, RULE_ACTIVE)
  }
  /** Ports that are not read for want of room, and since when (by port number, clock milliseconds; 0: not). */
  readonly #stalled: number[] = []
  readonly #stalledSince = new Float64Array(MAX_PORTS)
  #now = 0
  #sortAt = 0

  constructor(shared: EswitchShared, host: EswitchHost) {
    this.#shared = shared
    this.#host = host
    this.#meta = shared.arena.meta
    const rules = shared.ruleState.length
    this.pool = new SlotPool(shared.arena, shared.owner)
    this.#programs = new Array<Int32Array>(rules).fill(NO_ACTIONS)
    this.#state = new Uint8Array(rules)
    this.#rulePort = new Int32Array(rules).fill(-1)
    this.#account = new FlowAccount(shared.arena, shared.ruleStats, shared.ruleFlags)
    this.#executor = new Executor(shared.arena, this)
    this.#outputs = new Outputs(shared.arena, shared.portStats, (slot) => this.#dispose(slot))
    this.#intake = new Intake(host, this.#outputs, (no) => host.post({ type: 'port-dead', no }))
    this.#uplink = new Uplink(shared.up, shared.down, this.pool, () => host.wakeDatapath())
    this.#arming = new Arming(rules, (port, seq) => this.#uplink.marker(port, seq))
    this.#replies = new ReplyRing(shared.replies, () => host.post({ type: 'bell' }))
    this.#commands = new RingConsumer(shared.commands)
  }

  // --- the loop ---

  /** One round over everything, for tests: every port is read. */
  poll(now: number): boolean {
    const ports = Int32Array.from(this.#intake.polled)
    return this.round(now, ports, ports.length)
  }

  round(now: number, ready: Int32Array, n: number): boolean {
    this.#now = now
    let busy = this.#replies.flushBacklog()
    if (this.#takeCommands()) busy = true
    if (this.#uplink.drain(this)) busy = true
    this.#outputs.flush()
    if (this.#stalled.length > 0) this.#resume()
    for (let i = 0; i < n; i++) {
      if (!this.#receive(ready[i]!)) continue
      busy = true
      this.#outputs.flush()
    }
    this.#uplink.publish()
    this.#replies.publish()
    if (now >= this.#sortAt) {
      this.#sortAt = now + SORT_EVERY_MS
      this.#cache.sort()
    }
    return busy
  }

  sleep(): boolean {
    if (!this.#commands.sleep()) return false
    if (this.#uplink.sleep()) return true
    this.#commands.awake()
    return false
  }

  awake(): void {
    this.#commands.awake()
    this.#uplink.awake()
  }

  /** Frames that wait for their rules. */
  get held(): number {
    return this.#heldCount
  }

  // --- frames ---

  #receive(no: number): boolean {
    const port = this.#outputs.port(no)
    if (port === undefined) return false
    const room = this.#room(no)
    if (room === 0) return this.#stall(no)
    // A round over many busy ports may be long; it is no hang.
    Atomics.add(this.#shared.status, STATUS_BEAT, 1)
    const n = port.rx(this.pool, no, this.#batch, room)
    if (n > 0) {
      this.#add(EC_FRAMES, n)
      if (this.#outputs.isDown(no)) for (let i = 0; i < n; i++) this.#drop(this.#batch[i]!, no, PORT_DOWN)
      else for (let i = 0; i < n; i++) this.#arrive(this.#batch[i]!, no)
      return true
    }
    this.#intake.empty(no, port, this.#now)
    return false
  }

  /** Frames to read from a port: all of them may miss. */
  #room(no: number): number {
    const room = this.#uplink.room(no)
    if (room > 0) {
      this.#stalledSince[no] = 0
      return Math.min(room, BATCH)
    }
    const since = this.#stalledSince[no]!
    return since > 0 && this.#now - since >= STALL_MS ? BATCH : 0
  }

  /** True if that is news. */
  #stall(no: number): boolean {
    if (this.#stalled.includes(no)) return false
    this.#stalledSince[no] = this.#now
    this.#stalled.push(no)
    this.#intake.pause(no, this.#now)
    return true
  }

  #resume(): void {
    for (let i = this.#stalled.length - 1; i >= 0; i--) {
      const no = this.#stalled[i]!
      if (this.#uplink.room(no) < STALL_ROOM && this.#now - this.#stalledSince[no]! < STALL_MS) continue
      this.#stalled.splice(i, 1)
      this.#intake.rewatch(no)
    }
  }

  #arrive(slot: number, no: number): void {
    extractFrame(this.#shared.arena, slot, this.#key)
    const index = this.#cache.lookup(this.#key)
    if (index < 0) this.#miss(slot, no)
    else if (this.#state[index] === RULE_ACTIVE && this.#behind.size === 0 && this.#heldCount === 0)
      this.#hit(slot, index)
    else this.#hitInOrder(slot, no, index)
  }

  /** A hit while some frames are under way above, or wait: it may not overtake one of its own microflow. */
  #hitInOrder(slot: number, no: number, index: number): void {
    const order = microflow(this.#key)
    if (this.#state[index] === RULE_ACTIVE && !this.#behind.has(no, order) && !this.#isHeld(order, this.#heldCount))
      this.#hit(slot, index)
    else this.#hold(slot, index, order)
  }

  #miss(slot: number, no: number): void {
    // Without rules nothing can overtake; and a first rule waits for all that went up before it.
    if (this.#rulesAt[no] === 0) {
      this.#goUp(slot, no)
      return
    }
    const order = microflow(this.#key)
    if (this.#isHeld(order, this.#heldCount)) this.#letGo(true)
    this.#goUp(slot, no)
    this.#behind.add(no, order, this.#arming.request(no))
  }

  /** True if one of the first `n` held frames is of the microflow. */
  #isHeld(order: number, n: number): boolean {
    for (let i = 0; i < n; i++) if (this.#meta[this.#held[i]! * META_WORDS + U_ORDER] === order) return true
    return false
  }

  /** Runs a rule on the packet that is in the key. */
  #hit(slot: number, index: number): void {
    this.#add(EC_HITS, 1)
    this.#account.count(index, slot, this.#key, this.#now)
    this.#executor.run(this.#programs[index]!, slot)
  }

  #goUp(slot: number, no: number): void {
    if (this.#uplink.frame(slot)) this.#add(EC_UP, 1)
    else this.#drop(slot, no, RING_FULL)
  }

  frameDown(slot: number, no: number): void {
    this.#add(EC_DOWN, 1)
    if (this.#outputs.has(no)) this.#outputs.push(slot, no)
    else this.#drop(slot, no, NO_PORT)
  }

  // --- rules ---

  markerDown(port: number, seq: number): void {
    this.#arming.answered(port, seq, this.#activate)
    this.#behind.answered(port, seq)
    if (this.#heldCount > 0) this.#letGo(false)
  }

  #hold(slot: number, index: number, order: number): void {
    const wide = this.#isWide(slot)
    // Each keeps its place on the way up, so that none is lost if it must go there after all.
    if (
      this.#heldCount === MAX_HELD ||
      (wide && this.#heldBig >= this.#shared.arena.big * HELD_BIG) ||
      !this.#uplink.reserve(slot)
    ) {
      this.#letGo(true)
      const no = this.#meta[slot * META_WORDS + M_PORT]!
      this.#goUp(slot, no)
      this.#behind.add(no, order, this.#arming.request(no))
      this.#arming.again()
      return
    }
    this.#meta[slot * META_WORDS + U_RULE] = index
    this.#meta[slot * META_WORDS + U_ORDER] = order
    this.#held[this.#heldCount++] = slot
    if (wide) this.#heldBig++
    this.#shared.counters[EC_HELD] = this.#heldCount
  }

  /**
   * Sends held frames on, in order: by their rule if it is active, up if it is gone, and up in any case if `all`. Those stay whose rule is not active yet, or
   * whose microflow has frames above or before them.
   */
  #letGo(all: boolean): void {
    let kept = 0
    for (let i = 0; i < this.#heldCount; i++) {
      const slot = this.#held[i]!
      const m = slot * META_WORDS
      const index = this.#meta[m + U_RULE]!
      const order = this.#meta[m + U_ORDER]!
      const no = this.#meta[m + M_PORT]!
      const waits = this.#state[index] === RULE_ARMED || this.#behind.has(no, order) || this.#isHeld(order, kept)
      if (waits && !all && this.#state[index] !== RULE_NONE) {
        this.#held[kept++] = slot
        continue
      }
      if (this.#isWide(slot)) this.#heldBig--
      if (this.#state[index] === RULE_ACTIVE && !waits) {
        this.#uplink.cancel(slot)
        extractFrame(this.#shared.arena, slot, this.#key)
        this.#hit(slot, index)
      } else {
        this.#uplink.reserved(slot)
        this.#add(EC_UP, 1)
        this.#behind.add(no, order, this.#arming.request(no))
      }
    }
    this.#heldCount = kept
    this.#shared.counters[EC_HELD] = kept
  }

  #takeCommands(): boolean {
    const words = this.#commands.words
    let n = 0
    while (n < COMMANDS_A_ROUND && !this.#replies.blocked) {
      const at = this.#commands.next()
      if (at < 0) break
      n++
      const index = words[at + 1]!
      switch (words[at]) {
        case RULE_PUT:
          this.#programs[index] = readFlowRecord(words, at + 2, this.#ruleMask, this.#ruleKey)
          this.#cache.put(index, this.#ruleMask, this.#ruleKey)
          this.#setState(index, RULE_ARMED)
          this.#countRule(index, this.#ruleKey[K_IN_PORT]!)
          this.#arming.arm(index, this.#ruleKey[K_IN_PORT]!)
          break
        case RULE_ACTIONS:
          this.#programs[index] = words.slice(at + 2, at - 1 + words[at - 1]!)
          break
        case RULE_DEL:
          this.#cache.delete(index)
          this.#programs[index] = NO_ACTIONS
          this.#arming.disarm(index)
          this.#setState(index, RULE_NONE)
          this.#countRule(index, -1)
          if (this.#heldCount > 0) this.#letGo(false)
          this.#replies.push(RULE_GONE, index)
      }
    }
    if (n > 0) this.#commands.release()
    this.#shared.counters[EC_MARKERS] = this.#arming.sent
    return n > 0
  }

  /** `port` -1: the rule is gone. */
  #countRule(index: number, port: number): void {
    const before = this.#rulePort[index]!
    if (before >= 0) this.#rulesAt[before] = this.#rulesAt[before]! - 1
    if (port >= 0) this.#rulesAt[port] = this.#rulesAt[port]! + 1
    this.#rulePort[index] = port
  }

  #setState(index: number, state: number): void {
    this.#state[index] = state
    Atomics.store(this.#shared.ruleState, index, state)
  }

  // --- actions (ExecuteSink) ---

  emit(slot: number, no: number): void {
    if (this.#outputs.has(no)) this.#outputs.push(slot, no)
    else this.#drop(slot, this.#meta[slot * META_WORDS + M_PORT]!, NO_PORT)
  }

  /** Rules do not recirculate: the profile has no such action. */
  recirc(slot: number): void {
    this.#drop(slot, this.#meta[slot * META_WORDS + M_PORT]!, TRANSLATION)
  }

  lost(slot: number, why: number): void {
    this.#drop(slot, this.#meta[slot * META_WORDS + M_PORT]!, LOST[why]!)
  }

  copy(slot: number): number {
    const copy = this.pool.copy(slot)
    // Slots may only wait to be written.
    return copy < 0 && this.#outputs.flush() ? this.pool.copy(slot) : copy
  }

  noCopy(slot: number): void {
    countDrop(this.#shared.portStats, this.#meta[slot * META_WORDS + M_PORT]!, COPY_NO_SLOT)
  }

  encapWait(slot: number): void {
    this.lost(slot, LOST_NEIGHBOUR_QUEUE)
  }

  tooBig(slot: number): void {
    this.lost(slot, LOST_TUNNEL_MTU)
  }

  reenter(slot: number): void {
    this.recirc(slot)
  }

  #drop(slot: number, no: number, reason: number): void {
    countDrop(this.#shared.portStats, no, reason)
    this.#dispose(slot)
  }

  #dispose(slot: number): void {
    if (this.#meta[slot * META_WORDS + M_OWNER] === this.#shared.owner) this.pool.give(slot)
    else this.#uplink.giveBack(slot)
  }

  #isWide(slot: number): boolean {
    return this.#meta[slot * META_WORDS + M_LEN]! > SMALL_SIZE - HEADROOM
  }

  #add(counter: number, n: number): void {
    const c = this.#shared.counters
    c[counter] = c[counter]! + n
  }

  // --- rare commands ---

  control(message: EswitchControl): void {
    let error: string | undefined
    try {
      this.#control(message)
    } catch (e) {
      error = (e as Error).message
    }
    if ('seq' in message)
      this.#host.post(
        error === undefined ? { type: 'done', seq: message.seq } : { type: 'done', seq: message.seq, error },
      )
  }

  #control(message: EswitchControl): void {
    const { no } = message
    switch (message.type) {
      case 'port-add':
        this.#intake.open(no, message.name, message.open)
        this.#outputs.setMtu(no, message.mtu)
        if (message.watch) this.#intake.watch(no)
        break
      case 'port-watch':
        this.#intake.watch(no)
        break
      case 'port-del':
        this.#intake.unwatch(no)
        this.#behind.forget(no)
        this.#stalledSince[no] = 0
        if (this.#stalled.includes(no)) this.#stalled.splice(this.#stalled.indexOf(no), 1)
        this.#outputs.forget(no)
        break
      case 'port-up':
        this.#intake.rewatch(no)
        break
      case 'port-mtu':
        this.#outputs.setMtu(no, message.mtu)
        break
      case 'port-admin':
        this.#outputs.setAdmin(no, message.up)
    }
  }
}
