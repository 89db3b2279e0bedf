/**
 * Tunnelled flows and what happens to them from below: entries change, peers move, flows of outer packets come and go. Finds the flows that each concerns, and no other, and has them
 * decided again. Main thread.
 *
 * An entry that changes and leaves by the same switch is replaced in the eswitch, and no rule is touched; tier 2 has it already. Else its rules are retired, one flow at a time; and
 * when it can be used again, flows are offered after tier 2 has applied that.
 */
import type { DpPort } from '../datapath/contract.ts'
import { addressText, sameAddress } from '../flow/address.ts'
import type { EncapEntry } from '../flow/encap.ts'
import { matchesKey } from '../flow/match.ts'
import type { TunnelObserver, TunnelView } from '../tunnel/contract.ts'
import type { Carrier } from './carrier.ts'
import { unableAction } from './checks/action.ts'
import type { CheckSubject, CheckView, WayIn } from './checks/contract.ts'
import { EncapEntries } from './encap-entries.ts'
import { DecapEnds, decapEnds } from './endpoint.ts'
import { EventLog, type Outcome } from './events.ts'
import { OuterFlows } from './outer-flows.ts'
import { outputPorts, wirePorts } from './pushes.ts'
import { FlowRecord } from './record.ts'
import { Rework } from './rework.ts'
import type { Slices } from './slices.ts'
import type { TunnelSummary } from './tunnel-facts.ts'
import { type Endpoint, TunneledFlows } from './tunneled-flows.ts'
import type { Verdict } from './verdict.ts'

/** What the wiring gives when there are tunnels. */
export interface TunnelParts {
  readonly view: TunnelView
  /** Has tier 1 put the flow for packets with this key, before one has come; false: nobody owns the port. */
  preinstall(key: Int32Array): boolean
  /** MTU of the interface behind a datapath port, the guest's of a VF; 0: not known. */
  mtu(no: number): number
}

export interface TunnelsContext {
  readonly slices: Slices
  readonly onError: (error: unknown) => void
  readonly view: CheckView
  readonly elapsed: () => number
  readonly events: number
  barrier(): Promise<void>
  port(no: number): DpPort | undefined
  carriers(): Iterable<Carrier>
  /** Makes verdict and rules of the flow agree with what is so now. */
  decide(record: FlowRecord): void
}

export class Tunnels {
  readonly #c: TunnelsContext
  readonly entries = new EncapEntries()
  readonly flows = new TunneledFlows()
  readonly events: EventLog
  readonly #outer = new OuterFlows()
  readonly #rework: Rework
  readonly #ends = new DecapEnds()
  /** Keys of outer packets for which a flow was asked for since something changed about those. */
  readonly #asked = new Set<string>()
  /** Carrier of each flow of outer packets, as those of the inner ones know it. */
  readonly #opens = new Map<FlowRecord, string | undefined>()
  #parts: TunnelParts | undefined
  #deciding: FlowRecord | undefined

  constructor(context: TunnelsContext) {
    this.#c = context
    const barrier = (): Promise<void> => context.barrier()
    this.events = new EventLog(context.events, context.elapsed, barrier)
    this.#rework = new Rework(context.slices, this.events, barrier, (record) => this.#again(record), context.onError)
  }

  /** Once. Flows that are there already are decided again. */
  attach(parts: TunnelParts, records: Iterable<FlowRecord>): void {
    this.#parts = parts
    this.portsChanged()
    this.flows.watchBy(parts.view)
    parts.view.observe(this.#observer())
    for (const record of records)
      if (record.entries.length > 0 || this.flows.origin(record)) this.#rework.add(record, undefined)
  }

  // What checks ask (CheckView).

  mtu(no: number): number {
    return this.#parts?.mtu(no) ?? 0
  }

  wayIn(flow: CheckSubject): WayIn | 'open' | undefined {
    const origin = flow instanceof FlowRecord ? this.flows.origin(flow) : undefined
    if (origin) return this.#wayFrom(origin, flow.inPort)
    const ends = decapEnds(flow.match)
    return ends ? this.#lookUp(ends.peer, ends.local, flow.inPort) : 'open'
  }

  outerVerdict(key: Int32Array): Verdict | undefined {
    return this.#outer.find(key)?.verdict
  }

  // Flows.

  /** The flow is new, or has other actions: it is filed by what it names now. */
  enter(record: FlowRecord): void {
    this.entries.named(record, record.entries)
    this.#file(record)
    if (!record.pops) return
    this.#outer.add(record)
    this.#opens.set(record, undefined)
    this.#asked.clear()
  }

  /** It is about to get other actions, or goes. */
  leave(record: FlowRecord): void {
    this.entries.unnamed(record, record.entries)
    this.flows.tunneledFlowDel(record)
    if (!this.#opens.delete(record)) return
    this.#outer.delete(record)
    this.#asked.clear()
    this.#outerChanged(record)
  }

  /** Flows of inner packets follow the verdict of their outer ones, and one that only lacks its outer one is helped to it. */
  verdictChanged(record: FlowRecord): void {
    const { verdict } = record
    if (verdict.state === 'refused' && verdict.check === 'outer-flow' && this.#deciding !== record)
      this.#rework.add(record, undefined)
    if (!this.#opens.has(record)) return
    const eswitch = verdict.state === 'offloaded' ? verdict.eswitch : undefined
    if (this.#opens.get(record) === eswitch) return
    this.#opens.set(record, eswitch)
    this.#outerChanged(record)
  }

  // Entries. Tier 2 has the change already.

  entryPut(entry: EncapEntry): void {
    const before = this.entries.put(entry)
    const flows = this.entries.flows(entry.id)
    if (flows.size === 0) return
    if (!before || !sameEnds(before, entry)) for (const record of flows) this.#refile(record)
    const run = this.events.current
    const usable = entry.state === 'ready' && entry.reason === 'valid'
    const fitting = new Set<Carrier>()
    if (usable) {
      for (const carrier of this.#c.carriers())
        if (carrier.entries.get(entry.id) && this.#fits(carrier, entry)) fitting.add(carrier)
      for (const carrier of fitting) this.#replace(carrier, entry)
    }
    for (const record of flows) {
      if (record.carrier && fitting.has(record.carrier)) {
        if (!run) continue
        this.events.examine(run)
        this.events.decided(run, 'moved')
      } else if (usable && !record.carrier) this.#rework.park(record, run)
      else this.#rework.add(record, run)
    }
  }

  entryDel(id: number): void {
    this.entries.delete(id)
    for (const record of this.entries.flows(id)) this.#rework.add(record, this.events.current)
  }

  // Ports.

  /** Ports came, went or are on another eswitch: ways may be told differently. */
  portsChanged(): void {
    for (const { waysIn } of this.flows.all()) waysIn.clear()
  }

  /** True if the flow's packets use the port on their way, besides entering by it. */
  uses(record: FlowRecord, no: number): boolean {
    return (
      record.rules.some(({ inPort }) => inPort === no) ||
      wirePorts(record.actions, (id) => this.entries.get(id)).includes(no)
    )
  }

  /** The MTU of an interface changed. `waiting`: flows that were refused for an MTU. */
  mtuChanged(no: number, waiting: Iterable<FlowRecord>): void {
    const text = `${this.#c.port(no)?.name ?? `port ${no}`} mtu ${this.mtu(no)}`
    this.events.begin({ kind: 'mtu', text, at: this.#c.elapsed() })
    const run = this.events.current
    for (const record of waiting) this.#rework.add(record, run)
    for (const { carried } of this.#c.carriers())
      for (const record of carried)
        if (record.entries.length > 0 && this.uses(record, no)) this.#rework.add(record, run)
    this.events.end(0)
  }

  // Introspection.

  summary(): TunnelSummary {
    let [encap, decap] = [0, 0]
    for (const endpoint of this.flows.all()) {
      encap += endpoint.encap.size
      for (const { size } of endpoint.decap.values()) decap += size
    }
    let held = 0
    for (const { entries } of this.#c.carriers()) held += entries.size
    return {
      endpoints: this.flows.endpoints,
      encap,
      decap,
      entries: this.entries.size,
      held,
      pending: this.#rework.pending,
      ...this.events.totals,
    }
  }

  #wayFrom(endpoint: Endpoint, port: number): WayIn | undefined {
    const { peer, local, waysIn } = endpoint
    if (!waysIn.has(port)) waysIn.set(port, local && this.#lookUp(peer, local, port))
    return waysIn.get(port)
  }

  #lookUp(peer: Uint8Array, local: Uint8Array, port: number): WayIn | undefined {
    const dstPort = this.#parts?.view.udpPort(port)
    if (!this.#parts || dstPort === undefined) return undefined
    const result = this.#parts.view.ingress(peer, local, dstPort)
    return { peer: addressText(peer), local: addressText(local), result }
  }

  /** By the peers that it has to do with. */
  #file(record: FlowRecord): void {
    for (const id of record.entries) {
      const entry = this.entries.get(id)
      if (entry) this.flows.tunneledFlowAdd(record, entry.peer, entry.local)
    }
    const ends = this.#isDecap(record) ? this.#ends.of(record.match) : undefined
    if (ends) this.flows.tunneledFlowAdd(record, ends.peer, ends.local, record.inPort)
  }

  #refile(record: FlowRecord): void {
    this.flows.tunneledFlowDel(record)
    this.#file(record)
  }

  #isDecap(record: FlowRecord): boolean {
    return this.#c.port(record.inPort)?.kind === 'vxlan'
  }

  /** Whether an entry can be replaced in the eswitch, and its rules stay as they are. */
  #fits({ eswitch }: Carrier, entry: EncapEntry): boolean {
    return (
      outputPorts(entry.actions).every((no) => eswitch.hasPort(no)) &&
      unableAction(entry.actions, eswitch.profile, this.#c.view) === undefined
    )
  }

  /** Those that may not follow any more go before the entry is replaced. */
  #replace(carrier: Carrier, entry: EncapEntry): void {
    const before = carrier.entries.get(entry.id)
    if (before && this.#isTighter(before, entry))
      for (const record of this.entries.flows(entry.id)) if (record.carrier === carrier) this.#c.decide(record)
    carrier.entries.replace(entry)
  }

  /** The flow stays where it was: so do its entries, should one of them not have been able to follow there when it changed, and be so now. */
  #replaceOld(record: FlowRecord): void {
    for (const id of record.entries) {
      const entry = this.entries.get(id)
      const { carrier } = record
      if (carrier && entry && carrier.entries.get(id) !== entry) this.#replace(carrier, entry)
    }
  }

  /** Whether some flow may fit the old way and not the new one. */
  #isTighter(before: EncapEntry, entry: EncapEntry): boolean {
    const ports = outputPorts(entry.actions)
    return (
      ports.length > outputPorts(before.actions).length ||
      entry.header.length > before.header.length ||
      this.#limit(entry) < this.#limit(before)
    )
  }

  #limit(entry: EncapEntry): number {
    const limits = [entry.mtu, ...outputPorts(entry.actions).map((no) => this.mtu(no))].filter((mtu) => mtu > 0)
    return Math.min(Number.POSITIVE_INFINITY, ...limits)
  }

  #observer(): TunnelObserver {
    return {
      begin: (cause) => this.events.begin(cause),
      moved: (peer, local) => {
        this.#asked.clear()
        for (const endpoint of this.flows.of(peer, local)) {
          endpoint.waysIn.clear()
          for (const flows of endpoint.decap.values())
            for (const record of flows) this.#rework.add(record, this.events.current)
        }
      },
      end: (_cause, examined) => this.events.end(examined),
    }
  }

  /** A flow of outer packets came, went, or is offloaded elsewhere: those of what is inside depend on it. */
  #outerChanged(outer: FlowRecord): void {
    for (const endpoint of this.flows.all())
      for (const [port, flows] of endpoint.decap)
        if (this.#concerns(outer, endpoint, port))
          for (const record of flows) if (record !== outer) this.#rework.add(record, undefined)
  }

  #concerns(outer: FlowRecord, endpoint: Endpoint, port: number): boolean {
    const way = this.#wayFrom(endpoint, port)?.result
    return way?.type === 'found' && way.members.some(({ key }) => matchesKey(outer.match, key))
  }

  #again(record: FlowRecord): Outcome {
    this.#askForOuter(record)
    const before = placeOf(record)
    this.#deciding = record
    this.#c.decide(record)
    this.#replaceOld(record)
    this.#deciding = undefined
    const after = placeOf(record)
    if (after === undefined) return 'refused'
    return before === undefined ? 'offloaded' : before === after ? 'same' : 'moved'
  }

  /** Wherever its outer packets may enter, tier 1 puts the flow for them before one comes, also where no eswitch can help. */
  #askForOuter(record: FlowRecord): void {
    const origin = this.flows.origin(record)
    const way = origin && this.#wayFrom(origin, record.inPort)
    if (way?.result.type !== 'found') return
    for (const { key, port } of way.result.members) {
      if (this.#outer.find(key)) continue
      const name = `${port} ${record.inPort} ${way.peer} ${way.local}`
      if (this.#asked.has(name)) continue
      this.#parts!.preinstall(key)
      // Only now: the flow that was put has cleared the set.
      this.#asked.add(name)
    }
  }
}

/** Where the flow's rules are, as text; undefined: nowhere. */
const placeOf = ({ carrier, rules }: FlowRecord): string | undefined =>
  carrier && `${carrier.eswitch.name} ${rules.map(({ inPort }) => inPort).join(' ')}`

const sameEnds = (a: EncapEntry, b: EncapEntry): boolean => sameAddress(a.peer, b.peer) && sameAddress(a.local, b.local)
