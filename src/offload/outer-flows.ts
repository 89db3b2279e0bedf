/**
 * The flows that take outer headers off, found by the key of an outer packet: by its port, and by its source address where they match that exactly. Main thread.
 */
import { K_DL_TYPE, K_IN_PORT, K_NW_SRC, type Match } from '../flow/key.ts'
import { matchesKey } from '../flow/match.ts'
import type { FlowRecord } from './record.ts'

const IPV4 = 0x0800
const IPV6 = 0x86dd

const sourceText = (key: Int32Array, type: number): string =>
  type === IPV4 ? `4 ${key[K_NW_SRC]}` : `6 ${key.subarray(K_NW_SRC, K_NW_SRC + 4).join(' ')}`

/** Where flows are filed that say nothing, or not all, of the source. */
const ANY = ''

/** As text; ANY when the match leaves it open. */
const sourceOf = ({ key, mask }: Match): string => {
  const type = key[K_DL_TYPE]! >>> 16
  if (mask[K_DL_TYPE]! >>> 16 !== 0xffff || (type !== IPV4 && type !== IPV6)) return ANY
  for (let i = 0; i < (type === IPV4 ? 1 : 4); i++) if (mask[K_NW_SRC + i] !== -1) return ANY
  return sourceText(key, type)
}

const nameOf = (port: number, source: string): string => `${port} ${source}`

export class OuterFlows {
  readonly #flows = new Map<string, Set<FlowRecord>>()
  /** What was found by key, as ways are asked for by the same ones again and again; nothing when flows have come or gone. */
  #found = new WeakMap<Int32Array, { readonly flow: FlowRecord | undefined }>()

  add(record: FlowRecord): void {
    const name = nameOf(record.inPort, sourceOf(record.match))
    const flows = this.#flows.get(name)
    if (flows) flows.add(record)
    else this.#flows.set(name, new Set([record]))
    this.#found = new WeakMap()
  }

  delete(record: FlowRecord): void {
    const name = nameOf(record.inPort, sourceOf(record.match))
    const flows = this.#flows.get(name)
    flows?.delete(record)
    if (flows?.size === 0) this.#flows.delete(name)
    this.#found = new WeakMap()
  }

  /** The flow that an outer packet with this key hits. Nobody writes to the key. */
  find(key: Int32Array): FlowRecord | undefined {
    let found = this.#found.get(key)
    if (!found) {
      found = { flow: this.#search(key) }
      this.#found.set(key, found)
    }
    return found.flow
  }

  #search(key: Int32Array): FlowRecord | undefined {
    const port = key[K_IN_PORT]!
    return (
      this.#among(nameOf(port, sourceText(key, key[K_DL_TYPE]! >>> 16)), key) ?? this.#among(nameOf(port, ANY), key)
    )
  }

  #among(name: string, key: Int32Array): FlowRecord | undefined {
    for (const record of this.#flows.get(name) ?? []) if (matchesKey(record.match, key)) return record
    return undefined
  }
}
