/**
 * MAC learning table of one bridge, keyed by VLAN and address. Bounded: when full, the port that holds most entries loses its least
 * recently used one, so that one noisy port cannot push out the others. Main thread.
 *
 * Addresses are numbers of 48 bits.
 */
import type { Clock } from '../lib/clock.ts'
import type { Bundle } from './bundle.ts'
import { VlanSet } from './vlan.ts'

export const MAC_DEFAULT_MAX = 8192
/** Seconds. */
export const MAC_DEFAULT_AGEING = 300
/** Milliseconds for which an entry is not moved by gratuitous ARP from a bond, after one came by another port. */
export const GRAT_ARP_LOCK = 5000

export interface MacEntry {
  readonly mac: number
  readonly vlan: number
  bundle: Bundle
  /** Clock milliseconds of the last packet. */
  used: number
  /** Clock milliseconds of when it came to its present port. */
  since: number
  gratArpUntil: number
}

export interface MacCounters {
  learned: number
  expired: number
  evicted: number
  moved: number
}

const isMulticast = (mac: number): boolean => Math.floor(mac / 2 ** 40) % 2 === 1

export class MacLearning {
  readonly counters: MacCounters = { learned: 0, expired: 0, evicted: 0, moved: 0 }
  readonly #clock: Clock
  readonly #changed: () => void
  readonly #byVlan = new Map<number, Map<number, MacEntry>>()
  /** Least recently used first. */
  readonly #lru = new Set<MacEntry>()
  readonly #byPort = new Map<string, Set<MacEntry>>()
  #ageing = MAC_DEFAULT_AGEING * 1000
  #max = MAC_DEFAULT_MAX
  #floodVlans: VlanSet | null = null

  /** `changed` is called whenever a look-up may answer differently from before. */
  constructor(clock: Clock, changed: () => void) {
    this.#clock = clock
    this.#changed = changed
  }

  get size(): number {
    return this.#lru.size
  }

  /** Seconds. */
  get ageing(): number {
    return this.#ageing / 1000
  }

  get max(): number {
    return this.#max
  }

  /** 15..3600 seconds. */
  setAgeing(seconds: number): void {
    this.#ageing = Math.min(3600, Math.max(15, seconds)) * 1000
  }

  /** 10..1,000,000 entries. */
  setMax(entries: number): void {
    this.#max = Math.min(1_000_000, Math.max(10, entries))
    while (this.#lru.size > this.#max) this.#evict()
  }

  /** VLANs on which nothing is learned and everything is flooded. */
  setFloodVlans(vlans: readonly number[]): void {
    this.#floodVlans = vlans.length === 0 ? null : new VlanSet(vlans)
    for (const entry of [...this.#lru]) if (this.#floodVlans?.has(entry.vlan)) this.#remove(entry)
    this.#changed()
  }

  mayLearn(mac: number, vlan: number): boolean {
    return !isMulticast(mac) && !this.#floodVlans?.has(vlan)
  }

  /** Where to send to `mac` in `vlan`; undefined: flood. */
  lookup(mac: number, vlan: number): MacEntry | undefined {
    if (!this.mayLearn(mac, vlan)) return undefined
    return this.#byVlan.get(vlan)?.get(mac)
  }

  /**
   * A packet from `mac` was seen on `bundle` at `used` (clock milliseconds). News older than the entry's arrival at another port does not move it back:
   * statistics of cached flows come late.
   */
  learn(mac: number, vlan: number, bundle: Bundle, used: number, gratArp: boolean): void {
    if (!this.mayLearn(mac, vlan)) return
    const entry = this.#byVlan.get(vlan)?.get(mac)
    if (entry === undefined) {
      if (used + this.#ageing > this.#clock.now()) this.#insert(mac, vlan, bundle, used, gratArp)
      return
    }
    if (entry.bundle.port !== bundle.port) {
      if (used < entry.since) return
      this.counters.moved++
      this.#portSet(entry.bundle).delete(entry)
      entry.since = used
      entry.bundle = bundle
      this.#changed()
    }
    entry.bundle = bundle
    entry.used = Math.max(entry.used, used)
    if (gratArp) entry.gratArpUntil = used + GRAT_ARP_LOCK
    this.#lru.delete(entry)
    this.#lru.add(entry)
    const set = this.#portSet(bundle)
    set.delete(entry)
    set.add(entry)
  }

  /** Removes what has aged out. Entries are nearly in order of use, so it stops at the first that is fresh. */
  expire(): void {
    const limit = this.#clock.now() - this.#ageing
    for (const entry of this.#lru) {
      if (entry.used > limit) return
      this.counters.expired++
      this.#remove(entry)
    }
  }

  flush(): void {
    for (const entry of [...this.#lru]) this.#remove(entry)
  }

  /** All that was learned on a port. */
  flushPort(name: string): void {
    for (const entry of [...(this.#byPort.get(name) ?? [])]) this.#remove(entry)
  }

  /** In order of use, the least recent first. */
  entries(): Iterable<MacEntry> {
    return this.#lru
  }

  /** Seconds since the last packet. */
  age(entry: MacEntry): number {
    return Math.max(0, Math.floor((this.#clock.now() - entry.used) / 1000))
  }

  #portSet(bundle: Bundle): Set<MacEntry> {
    let set = this.#byPort.get(bundle.name)
    if (set === undefined) {
      set = new Set()
      this.#byPort.set(bundle.name, set)
    }
    return set
  }

  #insert(mac: number, vlan: number, bundle: Bundle, used: number, gratArp: boolean): void {
    if (this.#lru.size >= this.#max) this.#evict()
    const gratArpUntil = gratArp ? used + GRAT_ARP_LOCK : 0
    const entry: MacEntry = { mac, vlan, bundle, used, since: used, gratArpUntil }
    let macs = this.#byVlan.get(vlan)
    if (macs === undefined) {
      macs = new Map()
      this.#byVlan.set(vlan, macs)
    }
    macs.set(mac, entry)
    this.#lru.add(entry)
    this.#portSet(bundle).add(entry)
    this.counters.learned++
    this.#changed()
  }

  #evict(): void {
    let most: Set<MacEntry> | undefined
    for (const set of this.#byPort.values()) if (most === undefined || set.size > most.size) most = set
    for (const entry of most ?? []) {
      this.counters.evicted++
      this.#remove(entry)
      return
    }
  }

  #remove(entry: MacEntry): void {
    const macs = this.#byVlan.get(entry.vlan)
    macs?.delete(entry.mac)
    if (macs?.size === 0) this.#byVlan.delete(entry.vlan)
    this.#lru.delete(entry)
    const set = this.#byPort.get(entry.bundle.name)
    set?.delete(entry)
    if (set?.size === 0) this.#byPort.delete(entry.bundle.name)
    this.#changed()
  }
}
