/**
 * The one registry of match fields. Extraction checks, prerequisites, masks, both text syntaxes, actions that write fields, and capability
 * profiles are all driven by it.
 */
import type { Match } from './key.ts'

/** How values are written in text. */
export type FieldFormat =
  | 'decimal'
  | 'hexadecimal'
  | 'ethernet'
  | 'ipv4'
  | 'ipv6'
  | 'port'
  | 'frag'
  | 'tcp-flags'
  | 'ct-state'
  | 'tunnel-flags'

/** 'none': exact or absent. 'full': any bits. */
export type FieldMasking = 'none' | 'full'

export interface Field {
  /** Index in FIELDS; stable within one process only. */
  readonly id: number
  /** OVS's name (ovs-fields(7)): 'nw_src', 'eth_type' is an alias of 'dl_type'. */
  readonly name: string
  readonly aliases: readonly string[]
  /** Width in bits (1..128). */
  readonly bits: number
  /** First bit in the key, counted from the most significant bit of word 0. The field may straddle words. */
  readonly bit: number
  readonly format: FieldFormat
  readonly masking: FieldMasking
  /** True if actions may write it. */
  readonly writable: boolean
  /** Name of the prerequisite (see prerequisites.ts): 'none', 'ip', 'tcp', 'nd-solicit', ... */
  readonly prerequisite: string
  /** OXM/NXM header names, e.g. ['NXM_OF_IP_SRC', 'OXM_OF_IPV4_SRC'], for `load`/`move`. */
  readonly nxm: readonly string[]
  /** 32-bit OXM/NXM class << 16 | field << 9 (no mask bit, no length), for the OpenFlow wire; 0 when there is none. */
  readonly oxm: number
}

/** Where bits lie in the key: all that reading and writing them needs. */
export type FieldBits = Pick<Field, 'bit' | 'bits'>

/** Reads a field as an unsigned number. Control path. */
export const getField = (key: Int32Array, field: FieldBits): bigint => {
  let value = 0n
  const last = field.bit + field.bits - 1
  for (let word = field.bit >> 5; word <= last >> 5; word++) value = (value << 32n) | BigInt(key[word]! >>> 0)
  return (value >> BigInt(31 - (last & 31))) & ((1n << BigInt(field.bits)) - 1n)
}

/** Writes `value` where `mask` has ones. Control path. */
export const setField = (key: Int32Array, field: FieldBits, value: bigint, mask: bigint = fullMask(field)): void => {
  const last = field.bit + field.bits - 1
  const shift = BigInt(31 - (last & 31))
  let v = (value & mask) << shift
  let m = mask << shift
  for (let word = last >> 5; word >= field.bit >> 5; word--) {
    const wm = Number(m & 0xffffffffn)
    key[word] = (key[word]! & ~wm) | Number(v & 0xffffffffn)
    v >>= 32n
    m >>= 32n
  }
}

export const fullMask = (field: FieldBits): bigint => (1n << BigInt(field.bits)) - 1n

/** Sets bits of a match, value and mask together. */
export const matchField = (match: Match, field: FieldBits, value: bigint, mask: bigint = fullMask(field)): void => {
  setField(match.key, field, value & mask, mask)
  setField(match.mask, field, mask, mask)
}
