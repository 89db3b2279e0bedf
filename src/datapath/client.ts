/**
 * The main thread's side of tier 2: Dpif (contract.ts) over the rings to the worker, and the management of ports and eswitches. Nothing here blocks or
 * waits: what finds no room in a ring is queued, bounded by the flow limit and by the slots.
 */
import type { EncapEntry } from '../flow/encap.ts'
import { encapRecordWords, writeEncapRecord } from '../flow/encap-record.ts'
import { type EncapRow, encapRow } from '../flow/encap-table.ts'
import type { Match } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import { Compiler } from '../flow/program.ts'
import { flowRecordWords, writeFlowRecord } from '../flow/program-record.ts'
import { CommandWriter } from '../lib/command-writer.ts'
import { Requests } from '../lib/requests.ts'
import { RingConsumer, type RingMemory } from '../lib/ring.ts'
import { type Arena, META_WORDS, SlotPool } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'
import type { DpFlow, Dpif, DpifCounters, DpPort, FlowStats } from './contract.ts'
import type { DatapathControl, DatapathEvent, PortOpen } from './control.ts'
import { FlowBook } from './flow-book.ts'
import {
  CMD_BARRIER,
  CMD_ENCAP_DEL,
  CMD_ENCAP_PUT,
  CMD_EXECUTE,
  CMD_FLOW_DEL,
  CMD_FLOW_PUT,
  CMD_UPCALL_DONE,
  REPLY_BARRIER,
  REPLY_FLOW_GONE,
  REPLY_RETURN,
  REPLY_TOO_BIG,
  REPLY_UPCALL,
} from './records.ts'
import {
  C_CACHE_HITS,
  C_FLOW_HITS,
  C_FLOWS,
  C_FRAMES,
  C_MASK_HITS,
  C_MASKS,
  C_MISSES,
  C_UPCALLS,
  type DatapathShared,
  OWNER_FIRST_ESWITCH,
  OWNER_MAIN,
} from './shared.ts'
import { UpcallQueue } from './upcall-queue.ts'
import { encapOf, U_STATE } from './waiting.ts'

/** How the client reaches its worker; in tests, the same thread. */
export interface DatapathTransport {
  post(message: DatapathControl): void
  /** Signals the worker's eventfd. */
  wake(): void
  /** Runs `task` outside of the caller: at once (0) or after `ms`. Nothing in tests that pump by hand. */
  later(task: () => void, ms: number): void
}

/** Replies, and upcalls, handled in one go, so that the main thread is never held for long. */
const REPLIES = 1024
const UPCALLS = 128
const TOO_BIG: readonly OdpAction[] = [{ type: 'drop', reason: 'tunnel-mtu' }]

export class DatapathClient implements Dpif {
  readonly arena: Arena
  readonly pool: SlotPool
  readonly shared: DatapathShared
  readonly #transport: DatapathTransport
  readonly #replies: RingConsumer
  readonly #commands: CommandWriter
  readonly #compiler = new Compiler()
  readonly #upcalls: UpcallQueue
  readonly #flows: FlowBook
  readonly #ports = new Map<number, DpPort>()
  readonly #owners = new Map<string, number>()
  readonly #requests: Requests<DatapathControl>
  readonly #barriers = new Map<number, () => void>()
  #barrier = 0
  #upcall: ((slot: number) => void) | undefined
  #tooBig: ((slot: number, encap: number) => void) | undefined
  #portDead: (no: number) => void = () => {}
  #warning: (text: string) => void = () => {}
  #scheduled = false

  constructor(shared: DatapathShared, transport: DatapathTransport, flowLimit?: number) {
    this.shared = shared
    this.arena = shared.arena
    this.pool = new SlotPool(shared.arena, OWNER_MAIN)
    this.#transport = transport
    this.#replies = new RingConsumer(shared.replies)
    this.#requests = new Requests((message) => this.#post(message))
    this.#commands = new CommandWriter(shared.commands, () => transport.wake())
    this.#upcalls = new UpcallQueue(shared.arena.meta)
    this.#flows = new FlowBook(shared, flowLimit)
    this.#replies.sleep()
  }

  // --- flows ---

  get flowLimit(): number {
    return this.#flows.limit
  }

  /** At most what the shared statistics were made for. */
  setFlowLimit(flows: number): void {
    this.#flows.setLimit(flows)
  }

  flowNew(): number {
    return this.#flows.newId()
  }

  flowPut(flow: DpFlow): void {
    const program = this.#compiler.compile(flow.actions)
    this.#flows.put(flow)
    this.#send(2 + flowRecordWords(flow.match, program), CMD_FLOW_PUT, flow.id, program, flow.match)
  }

  flowDel(id: number, gone?: (final: FlowStats) => void): void {
    if (this.#flows.remove(id, gone)) this.#send(2, CMD_FLOW_DEL, id)
  }

  flow(id: number): DpFlow | undefined {
    return this.#flows.get(id)
  }

  flows(): Iterable<DpFlow> {
    return this.#flows.all()
  }

  get flowCount(): number {
    return this.#flows.count
  }

  /** Tier 2's part; the offload module adds the eswitches'. */
  flowStats(id: number, out: FlowStats): boolean {
    return this.#flows.stats(id, out)
  }

  // --- packets ---

  onUpcall(handler: (slot: number) => void): void {
    this.#upcall = handler
  }

  upcallDone(slot: number, actions: readonly OdpAction[]): void {
    const program = this.#compiler.compile(actions)
    this.#send(2 + program.length, CMD_UPCALL_DONE, slot, program)
  }

  execute(slot: number, actions: readonly OdpAction[]): void {
    const program = this.#compiler.compile(actions)
    this.#send(2 + program.length, CMD_EXECUTE, slot, program)
  }

  // --- tunnels ---

  /** Throws ProgramError or RangeError for an entry that cannot be run: the caller's fault. */
  encapPut(entry: EncapEntry): void {
    const row = encapRow(entry)
    this.#send(2 + encapRecordWords(row), CMD_ENCAP_PUT, row.id, undefined, undefined, row)
  }

  encapDel(id: number): void {
    this.#send(2, CMD_ENCAP_DEL, id)
  }

  onTooBig(handler: (slot: number, encap: number) => void): void {
    this.#tooBig = handler
  }

  barrier(): Promise<void> {
    const seq = this.#barrier++
    return new Promise((resolve) => {
      this.#barriers.set(seq, resolve)
      this.#send(2, CMD_BARRIER, seq)
    })
  }

  counters(out: DpifCounters): void {
    const c = this.shared.counters
    out.frames = c[C_FRAMES]!
    out.cacheHits = c[C_CACHE_HITS]!
    out.flowHits = c[C_FLOW_HITS]!
    out.misses = c[C_MISSES]!
    out.upcalls = c[C_UPCALLS]!
    out.masks = c[C_MASKS]!
    out.maskHits = c[C_MASK_HITS]!
    out.flows = c[C_FLOWS]!
  }

  // --- ports and eswitches ---

  ports(): Iterable<DpPort> {
    return this.#ports.values()
  }

  port(no: number): DpPort | undefined {
    return this.#ports.get(no)
  }

  /**
   * Adds a port. `open` tells how the worker gets at its frames; a representor has none, its `eswitch` has been given an owner by `eswitchOwner`; nor has a port of kind 'vxlan', which
   * is but a number: `tnl_pop` delivers there, and what is sent to it is dropped as to no port.
   * Rejects when the number is taken or none that a port may have (0 is the rehearsal's, eswitch/rehearsal.ts), or the descriptor cannot be polled.
   */
  async portAdd(port: DpPort, open?: PortOpen): Promise<void> {
    if (port.no < 1 || port.no >= MAX_PORTS)
      throw new RangeError(`port ${port.name}: its number is ${port.no}, 1 to ${MAX_PORTS - 1} expected`)
    if (this.#ports.has(port.no)) throw new Error(`datapath port ${port.no} exists already`)
    this.#ports.set(port.no, port)
    if (port.kind === 'vxlan') return
    try {
      if (port.kind === 'representor') {
        const owner = this.#owners.get(port.eswitch ?? '')
        if (owner === undefined) throw new Error(`representor ${port.name}: no eswitch "${port.eswitch ?? ''}"`)
        await this.#requests.ask({ type: 'representor-add', no: port.no, owner })
      } else {
        if (open === undefined) throw new Error(`port ${port.name}: a descriptor expected`)
        await this.#requests.ask({ type: 'port-add', no: port.no, name: port.name, open })
      }
    } catch (error) {
      this.#ports.delete(port.no)
      throw error
    }
  }

  /** Resolves when the worker does not use the descriptor any more. Answered upcalls may still name the port; they are counted drops. */
  async portDel(no: number): Promise<void> {
    const port = this.#ports.get(no)
    if (port === undefined) return
    if (port.kind !== 'vxlan') await this.#requests.ask({ type: 'port-del', no })
    this.#ports.delete(no)
  }

  /** The interface is up: poll again a port that rested because it was down. */
  portUp(no: number): void {
    this.#post({ type: 'port-up', no })
  }

  /** Interface MTU of a port; 0 for no limit. */
  portMtu(no: number, mtu: number): void {
    this.#post({ type: 'port-mtu', no, mtu })
  }

  /** Takes a port up or down. Of a representor, tier 2 needs to know for when it polls the TAP itself; the same is true of its MTU. */
  portAdmin(no: number, up: boolean): void {
    this.#post({ type: 'port-admin', no, up })
  }

  /** The arena's partition of the eswitch `name`; given out at the first call. Throws when there are no more. */
  eswitchOwner(name: string): number {
    const known = this.#owners.get(name)
    if (known !== undefined) return known
    const taken = new Set(this.#owners.values())
    let owner = OWNER_FIRST_ESWITCH
    while (taken.has(owner)) owner++
    if (owner >= this.arena.owners)
      throw new Error(`eswitch ${name}: memory for ${this.arena.owners - OWNER_FIRST_ESWITCH} eswitches only`)
    this.#owners.set(name, owner)
    return owner
  }

  /** The eswitch is removed for good and its partition may go to another. */
  eswitchForget(name: string): void {
    this.#owners.delete(name)
  }

  /** Connects fresh rings to the worker of eswitch `owner`, which `eventfd` wakes. */
  attachEswitch(owner: number, up: RingMemory, down: RingMemory, eventfd: number): Promise<void> {
    return this.#requests.ask({ type: 'link-attach', owner, up, down, eventfd })
  }

  /** After the worker of `owner` has gone: takes what it sent up, gets all slots back; its partition is free then. Tier 2 polls the TAPs in `adopt` from then on. */
  detachEswitch(
    owner: number,
    adopt: readonly { readonly no: number; readonly name: string; readonly open: PortOpen }[] = [],
  ): Promise<void> {
    // Only what the worker needs: the caller's objects may carry more.
    const ports = adopt.map(({ no, name, open }) => ({ no, name, open }))
    return this.#requests.ask({ type: 'link-detach', owner, adopt: ports })
  }

  /** Tier 2 polls the TAP of representor `no` itself. */
  adopt(no: number, name: string, open: PortOpen): Promise<void> {
    return this.#requests.ask({ type: 'adopt', no, name, open })
  }

  /** Ends `adopt`. Resolves when the descriptor is not used any more. */
  release(no: number): Promise<void> {
    return this.#requests.ask({ type: 'release', no })
  }

  /** Called once for each port whose descriptor turned out dead (namespace gone, interface deleted). */
  onPortDead(listener: (no: number) => void): void {
    this.#portDead = listener
  }

  onWarning(listener: (text: string) => void): void {
    this.#warning = listener
  }

  #post(message: DatapathControl): void {
    this.#transport.post(message)
    this.#transport.wake()
  }

  // --- rings ---

  /** An event of the worker has come. Called by the transport. */
  receive(event: DatapathEvent): void {
    switch (event.type) {
      case 'bell':
        this.pump()
        break
      case 'done':
        this.#requests.answered(event)
        break
      case 'port-dead':
        this.#portDead(event.no)
        break
      case 'warning':
        this.#warning(event.text)
    }
  }

  /** Handles waiting replies, then sends what they led to. True if there was a reply. Called by the transport and, in tests, every step. */
  pump(): boolean {
    const words = this.#replies.words
    let n = 0
    this.#replies.awake()
    for (; n < REPLIES; n++) {
      const at = this.#replies.next()
      if (at < 0) break
      const op = words[at]!
      const operand = words[at + 1]!
      if (op === REPLY_UPCALL || op === REPLY_TOO_BIG) this.#upcalls.add(operand)
      else if (op === REPLY_RETURN) this.pool.give(operand)
      else if (op === REPLY_FLOW_GONE) this.#flows.gone(operand)
      else if (op === REPLY_BARRIER) {
        this.#barriers.get(operand)?.()
        this.#barriers.delete(operand)
      }
    }
    if (n > 0) this.#replies.release()
    const answered = this.#answer()
    this.flush()
    if (!this.#upcalls.empty || !this.#replies.sleep()) this.#transport.later(() => this.pump(), 0)
    return n > 0 || answered
  }

  /** Has upcalls handled, a bounded number. True if there was one. */
  #answer(): boolean {
    const { meta } = this.arena
    let n = 0
    for (; n < UPCALLS; n++) {
      const slot = this.#upcalls.take()
      if (slot < 0) break
      const encap = encapOf(meta[slot * META_WORDS + U_STATE]!)
      if (encap >= 0) this.#tooBigCame(slot, encap)
      else if (this.#upcall) this.#upcall(slot)
      else this.upcallDone(slot, [])
    }
    return n > 0
  }

  /** Makes all commands so far visible to the worker. By itself this happens at the end of the current job. */
  flush(): void {
    if (!this.#commands.flush()) this.#transport.later(() => this.flush(), 1)
  }

  #tooBigCame(slot: number, encap: number): void {
    if (this.#tooBig) this.#tooBig(slot, encap)
    else this.upcallDone(slot, TOO_BIG)
  }

  #send(n: number, op: number, operand: number, program?: Int32Array, match?: Match, row?: EncapRow): void {
    const { words, at } = this.#commands.reserve(n)
    words[at] = op
    words[at + 1] = operand
    if (row !== undefined) writeEncapRecord(words, at + 2, row)
    else if (match !== undefined && program !== undefined) writeFlowRecord(words, at + 2, match, program)
    else if (program !== undefined) words.set(program, at + 2)
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.flush()
    })
  }
}
