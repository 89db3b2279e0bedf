/**
 * Tier 2: looks frames up, runs their flow's actions, asks tier 1 about those that no flow matches. Runs in one thread; the worker (worker.ts) and the
 * pipeline tests drive it round by round.
 *
 * Read contract.ts first, then waiting.ts (order and bounds of what waits for tier 1), link.ts (frames from and to eswitches) and pace.ts (no more
 * in than can go out).
 */
import { FlowCache } from '../flow/cache.ts'
import {
  type ExecuteSink,
  Executor,
  LOST_FLOW_DROP,
  LOST_MALFORMED,
  LOST_NO_COPY,
  LOST_TRANSLATION,
} from '../flow/execute.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey } from '../flow/key.ts'
import { microflow } from '../flow/microflow.ts'
import { ReplyRing } from '../lib/reply-ring.ts'
import { HEADROOM, M_LEN, M_OWNER, M_PORT, M_RECIRC_ID, META_WORDS, SlotPool, SMALL_SIZE } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'
import { dropIndex } from '../port/drop.ts'
import { FlowAccount } from '../port/flow-account.ts'
import { Intake, type IntakeHost } from '../port/intake.ts'
import { Outputs } from '../port/outputs.ts'
import { countDrop } from '../port/stats.ts'
import { BATCH } from '../port/thread-status.ts'
import { CommandReader } from './commands.ts'
import type { DatapathControl, DatapathEvent, PortOpen } from './control.ts'
import { EswitchLink, type LinkHandler } from './link.ts'
import { Pace } from './pace.ts'
import { REPLY_RETURN, REPLY_UPCALL } from './records.ts'
import {
  C_CACHE_HITS,
  C_FLOW_HITS,
  C_FLOWS,
  C_FRAMES,
  C_MASK_HITS,
  C_MASKS,
  C_MISSES,
  C_OUTSTANDING,
  C_PARKED,
  C_UPCALLS,
  type DatapathShared,
  OWNER_DATAPATH,
  OWNER_MAIN,
} from './shared.ts'
import { U_EPOCH, U_LOOKUPS, U_ORDER, WAITING_LIMITS, Waiting, type WaitingLimits } from './waiting.ts'

const UPCALL_LIMIT = dropIndex('upcall-limit')
const PARK_FULL = dropIndex('upcall-park-full')
const RING_FULL = dropIndex('ring-full')
const COPY_NO_SLOT = dropIndex('copy-no-slot')
const NO_PORT = dropIndex('no-port')
const RECIRC_LIMIT = dropIndex('recirc-limit')
const WORKER_GONE = dropIndex('worker-gone')
const PORT_DOWN = dropIndex('port-down')

/** Drop reasons of LOST_*, by index. */
const LOST: Int32Array = (() => {
  const table = new Int32Array(4)
  table[LOST_FLOW_DROP] = dropIndex('flow-drop')
  table[LOST_MALFORMED] = dropIndex('action-malformed')
  table[LOST_TRANSLATION] = dropIndex('translation')
  table[LOST_NO_COPY] = COPY_NO_SLOT
  return table
})()

const MAX_LOOKUPS = 5
const NO_ACTIONS = new Int32Array(0)
const SORT_EVERY_MS = 1000
const WARN_EVERY_MS = 1000
/** Slots of each class that upcalls and parked frames must leave for others. */
const KEEP_FREE = 0.25

/** What the datapath needs from its thread. */
export interface DatapathHost extends IntakeHost<PortOpen> {
  post(event: DatapathEvent): void
  signal(eventfd: number): void
}

export class Datapath implements ExecuteSink, LinkHandler {
  readonly pool: SlotPool
  readonly #shared: DatapathShared
  readonly #meta: Int32Array
  readonly #host: DatapathHost
  readonly #cache = new FlowCache()
  readonly #programs: Int32Array[] = []
  readonly #account: FlowAccount
  readonly #executor: Executor
  readonly #outputs: Outputs
  readonly #intake: Intake<PortOpen>
  readonly #waiting: Waiting
  readonly #replies: ReplyRing
  readonly #commands: CommandReader
  readonly #links: EswitchLink[] = []
  readonly #pace: Pace
  #turn = 0
  /** By owner. */
  readonly #linkOf: (EswitchLink | undefined)[] = []
  /** By port number: partition of the eswitch that a representor stands for, -1 for other ports. */
  readonly #eswitchOf = new Int32Array(MAX_PORTS).fill(-1)
  readonly #key = createKey()
  readonly #batch = new Int32Array(BATCH)
  readonly #chain = new Int32Array(MAX_LOOKUPS + 1)
  #now = 0
  #frames = 0
  #upcalls = 0
  #sortAt = 0
  #warnAt = 0

  constructor(shared: DatapathShared, host: DatapathHost, limits: WaitingLimits = WAITING_LIMITS) {
    this.#shared = shared
    this.#host = host
    this.#meta = shared.arena.meta
    this.pool = new SlotPool(shared.arena, OWNER_DATAPATH)
    this.#account = new FlowAccount(shared.arena, shared.flowStats, shared.flowFlags)
    this.#executor = new Executor(shared.arena, this)
    this.#outputs = new Outputs(shared.arena, shared.portStats, (slot) => this.#dispose(slot))
    this.#intake = new Intake(host, this.#outputs, (no) => host.post({ type: 'port-dead', no }))
    this.#pace = new Pace(this.#links, this.#intake)
    this.#waiting = new Waiting(shared.arena.meta, limits)
    this.#replies = new ReplyRing(shared.replies, () => host.post({ type: 'bell' }))
    this.#commands = new CommandReader(shared.commands, {
      flowPut: (id, mask, key, program) => this.#flowPut(id, mask, key, program),
      flowDel: (id) => this.#flowDel(id),
      upcallDone: (slot, program) => this.#upcallDone(slot, program),
      execute: (slot, program) => this.#execute(slot, program),
      replies: this.#replies,
    })
  }

  // --- the loop ---

  /** One round over everything, for tests: every port is read. */
  poll(now: number): boolean {
    const ports = Int32Array.from(this.#intake.polled)
    return this.round(now, ports, ports.length)
  }

  round(now: number, ready: Int32Array, n: number): boolean {
    this.#now = now
    this.#pace.now = now
    let busy = this.#replies.flushBacklog()
    for (let i = 0; i < this.#links.length; i++) if (this.#links[i]!.fetch()) busy = true
    if (this.#commands.drain()) busy = true
    this.#outputs.flush()
    // Who comes first takes the room: in turn.
    this.#turn = (this.#turn + 1) & 0xffff
    const portsFirst = (this.#turn & 1) !== 0
    if (portsFirst && this.#receiveAll(ready, n)) busy = true
    for (let i = 0; i < this.#links.length; i++) {
      if (!this.#links[((this.#turn >> 1) + i) % this.#links.length]!.run(this, this.#pace.room)) continue
      busy = true
      this.#outputs.flush()
    }
    if (!portsFirst && this.#receiveAll(ready, n)) busy = true
    for (let i = 0; i < this.#links.length; i++) this.#links[i]!.publish()
    this.#replies.publish()
    if (busy) this.#publishCounters()
    if (now >= this.#sortAt) {
      this.#sortAt = now + SORT_EVERY_MS
      this.#cache.sort()
    }
    return busy
  }

  /** False also while something waits for room, which is looked for every millisecond then (port/thread.ts). */
  sleep(): boolean {
    if (this.#pace.waiting) return false
    if (!this.#commands.ring.sleep()) return false
    for (let i = 0; i < this.#links.length; i++) {
      if (this.#links[i]!.sleep()) continue
      this.awake()
      return false
    }
    return true
  }

  awake(): void {
    this.#commands.ring.awake()
    for (let i = 0; i < this.#links.length; i++) this.#links[i]!.awake()
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
    const n = port.rx(this.pool, no, this.#batch, room)
    if (this.#outputs.isDown(no)) for (let i = 0; i < n; i++) this.#drop(this.#batch[i]!, PORT_DOWN)
    else for (let i = 0; i < n; i++) this.#arrive(this.#batch[i]!)
    if (n > 0) return true
    this.#intake.empty(no, port, this.#now)
    return false
  }

  frameUp(slot: number, port: number): void {
    this.#meta[slot * META_WORDS + M_PORT] = port
    this.#arrive(slot)
  }

  markerUp(link: EswitchLink, port: number, seq: number): void {
    if (this.#linkOf[link.owner] !== link) return
    if (this.#waiting.startGrace(port, seq)) link.answerMarker(port, seq)
  }

  #arrive(slot: number): void {
    this.#frames++
    extractFrame(this.#shared.arena, slot, this.#key)
    const order = this.#stamp(slot)
    if (this.#waiting.flows > 0 && this.#waiting.isBusy(order)) this.#park(slot, order)
    else this.#decide(slot)
  }

  /** Marks a slot whose packet is in the key as new. */
  #stamp(slot: number): number {
    const m = slot * META_WORDS
    const order = microflow(this.#key)
    this.#meta[m + U_ORDER] = order
    this.#meta[m + U_EPOCH] = this.#waiting.epoch(this.#meta[m + M_PORT]!)
    this.#meta[m + U_LOOKUPS] = 0
    return order
  }

  /** Looks the packet in the key up and acts. */
  #decide(slot: number): void {
    const m = slot * META_WORDS
    const depth = this.#meta[m + U_LOOKUPS]!
    this.#chain[depth] = this.#meta[m + M_RECIRC_ID]!
    this.#meta[m + U_LOOKUPS] = depth + 1
    const id = this.#cache.lookup(this.#key)
    if (id < 0) {
      this.#upcall(slot)
      return
    }
    this.#account.count(id, slot, this.#key, this.#now)
    this.#executor.run(this.#programs[id]!, slot)
  }

  // --- tier 1 ---

  #upcall(slot: number): void {
    const port = this.#meta[slot * META_WORDS + M_PORT]!
    if (!this.#waiting.mayUpcall(port) || !this.#roomToWait(slot)) {
      this.#drop(slot, UPCALL_LIMIT)
      return
    }
    const own = this.#toOwn(slot)
    if (own < 0) return
    if (!this.#replies.tryPush(REPLY_UPCALL, own)) {
      this.#drop(own, RING_FULL)
      return
    }
    this.#upcalls++
    this.#waiting.upcall(own)
  }

  #park(slot: number, order: number): void {
    const port = this.#meta[slot * META_WORDS + M_PORT]!
    if (!this.#waiting.mayPark(port, order) || !this.#roomToWait(slot)) {
      this.#drop(slot, PARK_FULL)
      return
    }
    const own = this.#toOwn(slot)
    if (own >= 0) this.#waiting.park(own)
  }

  #upcallDone(slot: number, program: Int32Array): void {
    const m = slot * META_WORDS
    const order = this.#meta[m + U_ORDER]!
    const port = this.#meta[m + M_PORT]!
    this.#waiting.answered(slot)
    this.#executor.run(program, slot)
    if (this.#waiting.settle(order)) {
      for (let next = this.#waiting.unpark(order); next >= 0; next = this.#waiting.unpark(order)) {
        const from = this.#meta[next * META_WORDS + M_PORT]!
        extractFrame(this.#shared.arena, next, this.#key)
        this.#decide(next)
        if (from !== port) this.#endGrace(from)
      }
    }
    this.#endGrace(port)
  }

  #endGrace(port: number): void {
    const seq = this.#waiting.graceOver(port)
    if (seq >= 0) this.#linkOf[this.#eswitchOf[port]!]?.answerMarker(port, seq)
  }

  #execute(slot: number, program: Int32Array): void {
    const m = slot * META_WORDS
    const port = this.#meta[m + M_PORT]!
    if (port < 0 || port >= MAX_PORTS) this.#meta[m + M_PORT] = 0
    extractFrame(this.#shared.arena, slot, this.#key)
    this.#stamp(slot)
    this.#meta[m + U_LOOKUPS] = 1
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
    if (this.#outputs.has(no)) {
      this.#outputs.push(slot, no)
      return
    }
    const owner = no >= 0 && no < MAX_PORTS ? this.#eswitchOf[no]! : -1
    if (owner < 0) {
      this.#drop(slot, NO_PORT)
      return
    }
    const link = this.#linkOf[owner]
    if (link === undefined) {
      this.#dropAt(slot, no, WORKER_GONE)
      return
    }
    if (this.#meta[slot * META_WORDS + M_OWNER] === owner) {
      if (!link.send(slot, no, false)) this.#dropAt(slot, no, RING_FULL)
      return
    }
    if (!link.mayLend(slot)) {
      this.#dropAt(slot, no, RING_FULL)
      return
    }
    const own = this.#toOwn(slot)
    if (own >= 0 && !link.send(own, no, true)) this.#dropAt(own, no, RING_FULL)
  }

  recirc(slot: number, id: number): void {
    const m = slot * META_WORDS
    this.#meta[m + M_RECIRC_ID] = id
    const lookups = this.#meta[m + U_LOOKUPS]!
    if (lookups >= MAX_LOOKUPS) {
      this.#warnRecirc(this.#meta[m + M_PORT]!, id)
      this.#drop(slot, RECIRC_LIMIT)
      return
    }
    extractFrame(this.#shared.arena, slot, this.#key)
    this.#decide(slot)
  }

  lost(slot: number, why: number): void {
    this.#drop(slot, LOST[why]!)
  }

  copy(slot: number): number {
    const copy = this.pool.copy(slot)
    // Slots may only wait to be written.
    return copy < 0 && this.#outputs.flush() ? this.pool.copy(slot) : copy
  }

  noCopy(slot: number): void {
    countDrop(this.#shared.portStats, this.#meta[slot * META_WORDS + M_PORT]!, COPY_NO_SLOT)
  }

  #warnRecirc(port: number, id: number): void {
    if (this.#now < this.#warnAt) return
    this.#warnAt = this.#now + WARN_EVERY_MS
    const chain = [...this.#chain.subarray(0, MAX_LOOKUPS), id].join(' -> ')
    this.#host.post({
      type: 'warning',
      text: `packet of port ${port} looked up more than ${MAX_LOOKUPS} times: recirculation ids ${chain}`,
    })
  }

  // --- slots ---

  /** The slot itself, or a copy in a slot of this thread. -1 when there was none; the frame is dropped then. */
  #toOwn(slot: number): number {
    if (this.#meta[slot * META_WORDS + M_OWNER] === OWNER_DATAPATH) return slot
    const copy = this.pool.copy(slot)
    if (copy < 0) this.#drop(slot, COPY_NO_SLOT)
    else this.#dispose(slot)
    return copy
  }

  /** False when so few slots are left that a frame of the slot's size may not wait. */
  #roomToWait(slot: number): boolean {
    const { small, big } = this.#shared.arena
    const wide = this.#meta[slot * META_WORDS + M_LEN]! > SMALL_SIZE - HEADROOM
    return wide ? this.pool.bigFree > big * KEEP_FREE : this.pool.smallFree > small * KEEP_FREE
  }

  #drop(slot: number, reason: number): void {
    countDrop(this.#shared.portStats, this.#meta[slot * META_WORDS + M_PORT]!, reason)
    this.#dispose(slot)
  }

  /** A drop that is the output's fault. */
  #dropAt(slot: number, no: number, reason: number): void {
    countDrop(this.#shared.portStats, no, reason)
    this.#dispose(slot)
  }

  #dispose(slot: number): void {
    const owner = this.#meta[slot * META_WORDS + M_OWNER]!
    if (owner === OWNER_DATAPATH) this.pool.give(slot)
    else if (owner === OWNER_MAIN) this.#replies.push(REPLY_RETURN, slot)
    // An eswitch that is gone takes its whole partition back when it starts again.
    else this.#linkOf[owner]?.giveBack(slot)
  }

  #publishCounters(): void {
    const c = this.#shared.counters
    c[C_FRAMES] = this.#frames
    c[C_CACHE_HITS] = this.#cache.cacheHits
    c[C_FLOW_HITS] = this.#cache.flowHits
    c[C_MISSES] = this.#cache.misses
    c[C_UPCALLS] = this.#upcalls
    c[C_MASKS] = this.#cache.masks
    c[C_MASK_HITS] = this.#cache.maskProbes
    c[C_FLOWS] = this.#cache.flows
    c[C_PARKED] = this.#waiting.parked
    c[C_OUTSTANDING] = this.#waiting.outstanding
  }

  // --- rare commands ---

  control(message: DatapathControl): void {
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

  #control(message: DatapathControl): void {
    switch (message.type) {
      case 'port-add':
      case 'adopt':
        this.#open(message.no, message.name, message.open)
        break
      case 'representor-add':
        this.#eswitchOf[message.no] = message.owner
        break
      case 'port-del':
        this.#release(message.no)
        this.#outputs.forget(message.no)
        this.#eswitchOf[message.no] = -1
        break
      case 'release':
        this.#release(message.no)
        break
      case 'port-up':
        this.#intake.rewatch(message.no)
        break
      case 'port-mtu':
        this.#outputs.setMtu(message.no, message.mtu)
        break
      case 'port-admin':
        this.#outputs.setAdmin(message.no, message.up)
        break
      case 'link-attach': {
        this.#detach(message.owner)
        const link = new EswitchLink(message.owner, message.up, message.down, this.pool, () =>
          this.#host.signal(message.eventfd),
        )
        this.#linkOf[message.owner] = link
        this.#links.push(link)
        break
      }
      case 'link-detach':
        for (const { no, name, open } of message.adopt) this.#adopt(no, name, open)
        this.#detach(message.owner)
    }
  }

  /** A TAP that cannot be polled must not keep the others from it. */
  #adopt(no: number, name: string, open: PortOpen): void {
    try {
      this.#open(no, name, open)
    } catch {
      this.#host.post({ type: 'port-dead', no })
    }
  }

  #open(no: number, name: string, open: PortOpen): void {
    this.#intake.open(no, name, open)
    this.#intake.watch(no)
  }

  #release(no: number): void {
    this.#intake.unwatch(no)
    this.#pace.forget(no)
    this.#outputs.remove(no)
  }

  #detach(owner: number): void {
    const link = this.#linkOf[owner]
    if (link === undefined) return
    this.#linkOf[owner] = undefined
    this.#links.splice(this.#links.indexOf(link), 1)
    for (let no = 0; no < MAX_PORTS; no++) if (this.#eswitchOf[no] === owner) this.#waiting.dropGrace(no)
    while (link.fetch() || link.waiting) {
      link.run(this, () => BATCH)
      this.#outputs.flush()
    }
    link.reclaim((slot) => this.#drop(slot, WORKER_GONE))
  }
}
