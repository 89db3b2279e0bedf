/**
 * Tier 2: looks frames up, runs their flow's actions, asks tier 1 about those that no flow matches. Runs in one thread; the worker (worker.ts) and the
 * pipeline tests drive it round by round.
 *
 * Read contract.ts first, then waiting.ts and held-frames.ts (order and bounds of what waits), link.ts (frames from and to eswitches) and pace.ts (no more
 * in than can go out).
 */
import { FlowCache } from '../flow/cache.ts'
import { type ExecuteSink, Executor, LOST_TAKEN } from '../flow/execute.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey, K_TUN_DST } from '../flow/key.ts'
import { type Look, Looks } from '../flow/looks.ts'
import { microflow } from '../flow/microflow.ts'
import { ReplyRing } from '../lib/reply-ring.ts'
import type { Advise } from '../lib/words.ts'
import { M_PORT, M_RECIRC_ID, META_WORDS, type SlotPool } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'
import { dropIndex } from '../port/drop.ts'
import { FlowAccount } from '../port/flow-account.ts'
import { Intake, type IntakeHost } from '../port/intake.ts'
import { LOST_DROPS } from '../port/lost.ts'
import { Outputs } from '../port/outputs.ts'
import { countDrop } from '../port/stats.ts'
import { BATCH, DOZE_PORTS, RX_ROOM } from '../port/thread-status.ts'
import { TOGETHER, Together } from '../port/together.ts'
import { CommandReader } from './commands.ts'
import type { DatapathControl, DatapathEvent, PortOpen } from './control.ts'
import { Depth } from './depth.ts'
import { HeldFrames } from './held-frames.ts'
import type { EswitchLink, LinkHandler } from './link.ts'
import { EswitchLinks } from './links.ts'
import { Pace } from './pace.ts'
import { PortControl } from './port-control.ts'
import { publishCounters } from './publish.ts'
import type { DatapathShared } from './shared.ts'
import { Slots } from './slots.ts'
import { U_ORDER, WAITING_LIMITS, Waiting, type WaitingLimits } from './waiting.ts'
import { WayOut } from './way-out.ts'

const COPY_NO_SLOT = dropIndex('copy-no-slot')
const RECIRC_LIMIT = dropIndex('recirc-limit')
const PORT_DOWN = dropIndex('port-down')

const NO_ACTIONS = new Int32Array(0)
/** Of #decide: beside flows and -1 for none. */
const NOT_LOOKED_UP = -2
const SORT_EVERY_MS = 1000

/** What the datapath needs from its thread. */
export interface DatapathHost extends IntakeHost<PortOpen> {
  readonly hugePages?: Advise
  post(event: DatapathEvent): void
  signal(eventfd: number): void
}

export class Datapath implements ExecuteSink, LinkHandler {
  readonly pool: SlotPool
  readonly #shared: DatapathShared
  readonly #meta: Int32Array
  readonly #cache: FlowCache
  readonly #programs: Int32Array[] = []
  readonly #account: FlowAccount
  readonly #executor: Executor
  readonly #outputs: Outputs
  readonly #intake: Intake<PortOpen>
  readonly #slots: Slots
  readonly #wayOut: WayOut
  readonly #depth: Depth
  readonly #waiting: Waiting
  readonly #held: HeldFrames
  readonly #replies: ReplyRing
  readonly #commands: CommandReader
  readonly #control: PortControl
  readonly #links = new EswitchLinks()
  readonly #pace: Pace
  #turn = 0
  /** Of the frame being looked up; and what finds its flow, unless Together does. */
  #key = createKey()
  #look: Look
  readonly #looks: Looks
  /** Of packets to be executed. */
  readonly #given = createKey()
  readonly #together: Together
  readonly #batch = new Int32Array(RX_ROOM)
  #now = 0
  #frames = 0
  #sortAt = 0

  constructor(shared: DatapathShared, host: DatapathHost, limits: WaitingLimits = WAITING_LIMITS) {
    const { arena, portStats } = shared
    this.#shared = shared
    this.#meta = arena.meta
    this.#cache = new FlowCache(host.hugePages)
    this.#account = new FlowAccount(arena, shared.flowStats, shared.flowFlags)
    this.#looks = new Looks(arena, this.#cache)
    this.#look = this.#looks.first
    this.#together = new Together(arena, this.#cache, this.#account)
    this.#executor = new Executor(arena, this)
    this.#replies = new ReplyRing(shared.replies, () => host.post({ type: 'bell' }))
    this.#slots = new Slots(arena, portStats, this.#links, this.#replies)
    this.pool = this.#slots.pool
    this.#outputs = new Outputs(arena, portStats, (slot) => this.#slots.dispose(slot))
    this.#intake = new Intake(host, this.#outputs, (no) => host.post({ type: 'port-dead', no }))
    this.#wayOut = new WayOut(arena.meta, this.#outputs, this.#links, this.#slots)
    this.#depth = new Depth(arena.meta, (text) => host.post({ type: 'warning', text }))
    this.#pace = new Pace(this.#links.all, this.#intake)
    this.#waiting = new Waiting(arena.meta, limits)
    const held = new HeldFrames(
      arena.meta,
      this.#waiting,
      this.#executor.encaps,
      this.#slots,
      this.#links,
      this.#replies,
      {
        lookUp: (slot) => this.#lookUp(slot),
        run: (program, slot) => this.#executor.run(program, slot),
        resume: (slot, entry) => this.#executor.resume(slot, entry),
      },
    )
    this.#held = held
    this.#commands = new CommandReader(shared.commands, {
      flowPut: (id, mask, key, program) => this.#flowPut(id, mask, key, program),
      flowDel: (id) => this.#flowDel(id),
      upcallDone: (slot, program) => held.answered(slot, program),
      execute: (slot, program) => this.#execute(slot, program),
      encapPut: (row) => held.encapPut(row),
      encapDel: (id) => held.encapDel(id),
      replies: this.#replies,
    })
    this.#control = new PortControl({
      slots: this.#slots,
      intake: this.#intake,
      outputs: this.#outputs,
      links: this.#links,
      pace: this.#pace,
      waiting: this.#waiting,
      frames: this,
      post: (event) => host.post(event),
      signal: (eventfd) => host.signal(eventfd),
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
    const links = this.#links.all
    // Who comes first takes the room: in turn.
    this.#turn = (this.#turn + 1) & 0xffff
    const portsFirst = (this.#turn & 1) !== 0
    let busy = portsFirst && this.#receiveAll(ready, n)
    if (this.#replies.flushBacklog()) busy = true
    for (let i = 0; i < links.length; i++) if (links[i]!.fetch()) busy = true
    if (this.#commands.drain()) busy = true
    if (this.#held.atNextHops > 0 && this.#held.expire()) busy = true
    this.#outputs.flush()
    for (let i = 0; i < links.length; i++) {
      if (!links[((this.#turn >> 1) + i) % links.length]!.run(this, this.#pace.room)) continue
      busy = true
      this.#outputs.flush()
    }
    if (!portsFirst && this.#receiveAll(ready, n)) busy = true
    for (let i = 0; i < links.length; i++) links[i]!.publish()
    this.#replies.publish()
    if (busy) publishCounters(this.#shared.counters, this.#frames, this.#cache, this.#held)
    if (now >= this.#sortAt) {
      this.#sortAt = now + SORT_EVERY_MS
      this.#cache.sort()
    }
    return busy
  }

  #setNow(now: number): void {
    this.#now = now
    this.#account.now = now
    this.#pace.now = now
    this.#depth.now = now
    this.#held.now = now
  }

  /** False also while something waits for room, which is looked for every millisecond then (port/thread.ts). */
  sleep(): boolean {
    if (this.#pace.waiting) return false
    if (!this.#commands.ring.sleep()) return false
    const links = this.#links.all
    for (let i = 0; i < links.length; i++) {
      if (links[i]!.sleep()) continue
      this.awake()
      return false
    }
    return true
  }

  awake(): void {
    this.#commands.ring.awake()
    const links = this.#links.all
    for (let i = 0; i < links.length; i++) links[i]!.awake()
  }

  doze(now: number): boolean {
    this.#setNow(now)
    const { polled } = this.#intake
    let busy = false
    for (let i = 0; i < polled.length && i < DOZE_PORTS; i++) if (this.#receive(polled[i]!)) busy = true
    if (busy) this.#outputs.flush()
    return busy
  }

  /** Milliseconds until a round is due although nothing comes. */
  get patience(): number {
    return this.#held.patience
  }

  control(message: DatapathControl): void {
    this.#control.handle(message)
  }

  // --- frames in ---

  #receiveAll(ready: Int32Array, n: number): boolean {
    let busy = false
    for (let no = this.#pace.next(); no >= 0; no = this.#pace.next()) {
      if (!this.#receive(no)) continue
      busy = true
      this.#outputs.flush()
    }
    for (let i = 0; i < n; i++) {
      if (!this.#receive(ready[i]!)) continue
      busy = true
      this.#outputs.flush()
    }
    return busy
  }

  #receive(no: number): boolean {
    const port = this.#outputs.port(no)
    if (port === undefined) return false
    const room = this.#pace.room()
    if (room === 0) return this.#pace.pause(no)
    // When main holds most slots, a batch leaves the others some.
    const n = port.rx(this.pool, no, this.#batch, Math.min(room, Math.max(BATCH, this.pool.smallFree >> 1)))
    if (this.#outputs.isDown(no)) for (let i = 0; i < n; i++) this.#slots.drop(this.#batch[i]!, PORT_DOWN)
    else this.#arriveAll(this.#batch, n)
    if (n > 0) return true
    this.#intake.empty(no, port, this.#now)
    return false
  }

  framesUp(slots: Int32Array, ports: Int32Array, n: number): void {
    const meta = this.#meta
    for (let i = 0; i < n; i++) meta[slots[i]! * META_WORDS + M_PORT] = ports[i]!
    this.#arriveAll(slots, n)
  }

  markerUp(link: EswitchLink, port: number, seq: number): void {
    if (this.#links.byOwner(link.owner) !== link) return
    if (this.#waiting.startGrace(port, seq)) this.#held.answerMarker(link, port, seq)
  }

  /** Frames whose M_PORT is that by which they came. */
  #arriveAll(slots: Int32Array, n: number): void {
    this.#frames += n
    if (!this.#cache.many) {
      for (let i = 0; i < n; i++) {
        const slot = slots[i]!
        const look = this.#lookAt(slot)
        this.#arrive(slot, look.order, NOT_LOOKED_UP)
      }
      return
    }
    const together = this.#together
    for (let i = 0; i < n; i++) {
      const k = i % TOGETHER
      if (k === 0) together.find(slots, i, Math.min(n - i, TOGETHER))
      this.#key = together.keys[k]!
      this.#arrive(slots[i]!, microflow(this.#key), together.flows[k]!)
    }
  }

  /** The frame whose key is in #key, of microflow `order`. `id`: what its look-up gives, if that was made. */
  #arrive(slot: number, order: number, id: number): void {
    this.#waiting.stamp(slot, order, this.#meta[slot * META_WORDS + M_PORT]!)
    if (this.#waiting.flows > 0 && this.#waiting.isBusy(order)) this.#held.park(slot, order)
    else this.#decide(slot, id)
  }

  /** Extracts the frame's key into #key. */
  #lookAt(slot: number): Look {
    const look = this.#looks.of(slot)
    look.extract(slot)
    this.#look = look
    this.#key = look.key
    return look
  }

  #lookUp(slot: number): void {
    this.#lookAt(slot)
    this.#decide(slot)
  }

  /** Looks the packet in the key up, unless that was done, and acts. */
  #decide(slot: number, found = NOT_LOOKED_UP): void {
    this.#depth.enter(slot)
    const id = found === NOT_LOOKED_UP ? this.#look.find() : found
    if (id < 0) {
      this.#held.upcall(slot)
      return
    }
    this.#account.count(id, slot, this.#key)
    this.#executor.run(this.#programs[id]!, slot)
  }

  // --- commands ---

  #execute(slot: number, program: Int32Array): void {
    const m = slot * META_WORDS
    const known = this.#meta[m + M_PORT]!
    const port = known < 0 || known >= MAX_PORTS ? 0 : known
    this.#meta[m + M_PORT] = port
    extractFrame(this.#shared.arena, slot, this.#given)
    this.#waiting.stamp(slot, microflow(this.#given), port)
    this.#depth.entered(slot)
    this.#executor.run(program, slot)
  }

  #flowPut(id: number, mask: Int32Array, key: Int32Array, program: Int32Array): void {
    while (this.#programs.length <= id) this.#programs.push(NO_ACTIONS)
    this.#programs[id] = program
    this.#cache.put(id, mask, key)
  }

  #flowDel(id: number): void {
    this.#cache.delete(id)
    this.#programs[id] = NO_ACTIONS
  }

  // --- actions (ExecuteSink) ---

  emit(slot: number, no: number): void {
    this.#wayOut.send(slot, no)
  }

  recirc(slot: number, id: number): void {
    this.#meta[slot * META_WORDS + M_RECIRC_ID] = id
    if (this.#mayLookUp(slot, id)) this.#lookUp(slot)
  }

  /** A packet that came out of a tunnel is of another microflow than its outer one, whose other packets need not wait for it. */
  reenter(slot: number): void {
    if (!this.#mayLookUp(slot, 0)) return
    const look = this.#lookAt(slot)
    const { key } = look
    if ((key[K_TUN_DST]! | key[K_TUN_DST + 1]! | key[K_TUN_DST + 2]! | key[K_TUN_DST + 3]!) !== 0) {
      const { order } = look
      this.#meta[slot * META_WORDS + U_ORDER] = order
      if (this.#waiting.flows > 0 && this.#waiting.isBusy(order)) {
        this.#held.park(slot, order)
        return
      }
    }
    this.#decide(slot)
  }

  encapWait(slot: number, entry: number, nextHop: number): void {
    this.#held.encapWait(slot, entry, nextHop)
  }

  tooBig(slot: number, entry: number): void {
    this.#held.tooBig(slot, entry)
  }

  lost(slot: number, why: number): void {
    if (why === LOST_TAKEN) this.#slots.dispose(slot)
    else this.#slots.drop(slot, LOST_DROPS[why]!)
  }

  copy(slot: number): number {
    const copy = this.pool.copy(slot)
    // Slots may only wait to be written.
    return copy < 0 && this.#outputs.flush() ? this.pool.copy(slot) : copy
  }

  noCopy(slot: number): void {
    countDrop(this.#shared.portStats, this.#meta[slot * META_WORDS + M_PORT]!, COPY_NO_SLOT)
  }

  /** False when the packet has been looked up often enough; it is dropped then. */
  #mayLookUp(slot: number, id: number): boolean {
    if (this.#depth.mayEnter(slot, id)) return true
    this.#slots.drop(slot, RECIRC_LIMIT)
    return false
  }
}
