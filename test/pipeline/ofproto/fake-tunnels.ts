/** A tunnel layer in a few lines: entries are ready at once, their way is what the test says or what a translator finds. */
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { createKey, K_DL_TYPE, K_ETH, K_IN_PORT, K_NW, K_NW_DST, K_NW_SRC, K_TP } from '../../../src/flow/key.ts'
import type { EncapSpec, TunnelLayer, UnderlayPort, UnderlayTranslator } from '../../../src/tunnel/contract.ts'

export interface FakeEntry extends EncapEntry {
  readonly spec: EncapSpec
}

export const ip = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)

export const underlayPort = (dpPort: number): UnderlayPort => ({
  name: 'br-phy',
  dpPort,
  ifindex: 7,
  mac: ip(2, 0, 0, 0, 0xaa, 0),
  mtu: 1500,
  up: true,
})

/** As `src` sends it to `dst` by UDP from port 40000, as an IPv4 packet that the next hop 02:00:00:00:bb:00 takes. */
export const outerKey = (dpPort: number, src: Uint8Array, dst: Uint8Array, dstPort: number): Int32Array => {
  const key = createKey()
  const word = (b: Uint8Array) => (b[0]! << 24) | (b[1]! << 16) | (b[2]! << 8) | b[3]!
  key[K_IN_PORT] = dpPort
  key.set([0x02000000, 0xbb000200, 0x0000aa00], K_ETH)
  key[K_DL_TYPE] = 0x0800 << 16
  key[K_NW_SRC] = word(src)
  key[K_NW_DST] = word(dst)
  key[K_NW] = (17 << 24) | (64 << 8)
  key[K_TP] = (40000 << 16) | dstPort
  return key
}

export class FakeTunnelLayer implements TunnelLayer {
  readonly entries = new Map<number, FakeEntry>()
  /** What `encap` was asked to resolve for. */
  readonly resolved: EncapSpec[] = []
  readonly held = new Map<number, number>()
  readonly credits: { id: number; packets: number; bytes: number }[] = []
  readonly locals = new Set<string>()
  revalidations = 0
  /** Translates the outer packets; none: they leave by port 900. */
  translator: UnderlayTranslator | undefined
  underlay = underlayPort(1)
  full = false
  #listener: () => void = () => {}
  readonly #ids = new Map<string, number>()

  constructor(...locals: string[]) {
    for (const local of locals) this.locals.add(local)
  }

  encap(spec: EncapSpec, resolve: boolean): number {
    if (this.full) return -1
    if (resolve) this.resolved.push(spec)
    const name = JSON.stringify({ ...spec, peer: [...spec.peer], local: spec.local && [...spec.local] })
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    const id = this.#ids.size
    this.#ids.set(name, id)
    const key = outerKey(this.underlay.dpPort, spec.local ?? ip(192, 168, 0, 1), spec.peer, spec.dstPort)
    const way = this.translator?.translate(this.underlay, key, createKey(), resolve)
    this.entries.set(id, {
      spec,
      id,
      state: 'ready',
      reason: 'valid',
      detail: 'as told',
      lost: 0,
      nextHop: 1,
      flags: 0,
      version: spec.peer.length === 4 ? 4 : 6,
      header: new Uint8Array(spec.peer.length === 4 ? 50 : 70),
      mtu: 0,
      actions: way?.actions ?? [{ type: 'output', port: 900 }],
      peer: spec.peer,
      ...(spec.local === undefined ? {} : { local: spec.local }),
      tunnelPort: 50,
      underlayPort: this.underlay.dpPort,
      generation: 1,
    })
    return id
  }

  entry(id: number): FakeEntry | undefined {
    return this.entries.get(id)
  }

  hold(id: number): void {
    this.held.set(id, (this.held.get(id) ?? 0) + 1)
  }

  release(id: number): void {
    this.held.set(id, (this.held.get(id) ?? 0) - 1)
  }

  credit(id: number, packets: number, bytes: number): void {
    this.credits.push({ id, packets, bytes })
  }

  revalidate(): void {
    this.revalidations++
  }

  isLocal(address: Uint8Array): boolean {
    return this.locals.has(address.join('.'))
  }

  onLocalChange(listener: () => void): void {
    this.#listener = listener
  }

  setLocals(...locals: string[]): void {
    this.locals.clear()
    for (const local of locals) this.locals.add(local)
    this.#listener()
  }
}

export const tunnelConfig = (remote: Uint8Array | 'flow', key: number | 'flow' = 0) => ({
  remote,
  key,
  dstPort: 4789,
  tos: 0,
  ttl: 64,
  df: true,
})
