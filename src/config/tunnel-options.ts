/** The options of a port of type vxlan, with the names and values of `ovs-vsctl`'s `options:`. Pure. */
import { addressBytes } from '../flow/address.ts'
import { VXLAN_PORT } from '../packet/vxlan.ts'
import type { TunnelConfig } from '../tunnel/contract.ts'

export type OptionValue = string | number | boolean

export interface TunnelOptions {
  readonly config?: TunnelConfig
  /** What is wrong, a sentence each; then there is no config. */
  readonly complaints: readonly string[]
}

const DEFAULT_TTL = 64

const isFalse = (value: OptionValue): boolean => value === false || value === 'false'
const isBoolean = (value: OptionValue): boolean => value === true || value === 'true' || isFalse(value)

const numberOf = (value: OptionValue, max: number): number | undefined => {
  const number =
    typeof value === 'number' ? value : /^\s*(0x[0-9a-f]+|\d+)\s*$/i.test(String(value)) ? Number(value) : -1
  return Number.isInteger(number) && number >= 0 && number <= max ? number : undefined
}

class Reader {
  readonly complaints: string[] = []
  readonly #options: Readonly<Record<string, OptionValue>>

  constructor(options: Readonly<Record<string, OptionValue>>) {
    this.#options = options
  }

  read<T>(key: string, parse: (value: OptionValue) => T | undefined, expected: string): T | undefined {
    const value = this.#options[key]
    if (value === undefined) return undefined
    const result = parse(value)
    if (result === undefined) this.complaints.push(`${key}: ${expected} expected, not "${value}"`)
    return result
  }

  /** A word, or a number up to `max`. */
  number<W extends string>(key: string, max: number, word: W): number | W | undefined {
    return this.read(key, (value) => (value === word ? word : numberOf(value, max)), `0..${max} or "${word}"`)
  }

  flag(key: string): boolean | undefined {
    return this.read(key, (value) => (isBoolean(value) ? !isFalse(value) : undefined), 'true or false')
  }

  address(key: string): Uint8Array | 'flow' | undefined {
    return this.read(
      key,
      (value) => (value === 'flow' ? 'flow' : addressBytes(String(value))),
      'an IPv4 or IPv6 address or "flow"',
    )
  }
}

const KEYS = ['remote_ip', 'local_ip', 'key', 'dst_port', 'tos', 'ttl', 'df_default', 'csum']

const isMulticast = (address: Uint8Array | 'flow' | undefined): boolean =>
  address instanceof Uint8Array && (address.length === 4 ? address[0]! >= 224 : address[0] === 0xff)

export const readTunnelOptions = (options: Readonly<Record<string, OptionValue>>): TunnelOptions => {
  const reader = new Reader(options)
  const { complaints } = reader
  for (const key of Object.keys(options))
    if (!KEYS.includes(key)) complaints.push(`unknown option "${key}"; one of ${KEYS.join(', ')} expected`)
  const remote = reader.address('remote_ip')
  const local = reader.address('local_ip')
  const key = reader.number('key', 0xffffff, 'flow')
  const dstPort = reader.read('dst_port', (value) => numberOf(value, 65535) || undefined, '1..65535')
  const tos = reader.number('tos', 255, 'inherit')
  const ttl = reader.number('ttl', 255, 'inherit')
  const df = reader.flag('df_default')
  const csum = reader.flag('csum')
  if (options['remote_ip'] === undefined) complaints.push('a vxlan port needs remote_ip: an address, or "flow"')
  for (const [name, address] of Object.entries({ remote_ip: remote, local_ip: local }))
    if (isMulticast(address)) complaints.push(`${name}: a unicast address expected: multicast groups are not supported`)
  if (remote instanceof Uint8Array && local instanceof Uint8Array && remote.length !== local.length)
    complaints.push('local_ip: an address of the same family as remote_ip expected')
  if (tos !== undefined && tos !== 'inherit' && (tos & 3) !== 0)
    complaints.push('tos: the two lower bits (ECN) must be zero')
  if (complaints.length > 0 || remote === undefined) return { complaints }
  return {
    complaints,
    config: {
      remote,
      ...(local === undefined ? {} : { local }),
      ...(key === undefined ? {} : { key }),
      dstPort: dstPort ?? VXLAN_PORT,
      tos: tos ?? 0,
      // As in Open vSwitch, 0 stands for the default.
      ttl: ttl === undefined || ttl === 0 ? DEFAULT_TTL : ttl,
      df: df ?? true,
      ...(csum === undefined ? {} : { csum }),
    },
  }
}
