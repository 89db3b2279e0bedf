/**
 * `tunnel(tun_id=..,src=..,dst=..,tos=..,ttl=..,flags(..))` of dpctl's flow syntax. Control path only.
 *
 * Unlike OVS, a matched `tos` or `ttl` of zero is printed: here it is matched, and a reader should see that.
 */
import type { FieldBits } from './fields.ts'
import { fullMask, getField, setField } from './fields.ts'
import * as K from './key.ts'
import {
  formatPartMask,
  formatPartValue,
  PART_FORM,
  type PartFormat,
  parsePartMask,
  parsePartValue,
} from './odp-text-headers.ts'
import type { OdpToken } from './odp-text-tokens.ts'
import { FlowSyntaxError, suggestion } from './syntax-error.ts'
import { flagBits, formatFlags, formatMaskedFlags, parseFlags, TUNNEL_FLAGS } from './text-flags.ts'
import { parseInteger } from './text-values.ts'

interface TunnelPart extends FieldBits {
  readonly name: string
  readonly format: PartFormat
}

const TUN_ID: TunnelPart = { name: 'tun_id', bit: K.K_TUN_ID * 32, bits: 64, format: 'hexadecimal' }
const SRC4: TunnelPart = { name: 'src', bit: (K.K_TUN_SRC + 3) * 32, bits: 32, format: 'ipv4' }
const DST4: TunnelPart = { name: 'dst', bit: (K.K_TUN_DST + 3) * 32, bits: 32, format: 'ipv4' }
const SRC6: TunnelPart = { name: 'ipv6_src', bit: K.K_TUN_SRC * 32, bits: 128, format: 'ipv6' }
const DST6: TunnelPart = { name: 'ipv6_dst', bit: K.K_TUN_DST * 32, bits: 128, format: 'ipv6' }
const REST: readonly TunnelPart[] = [
  { name: 'tos', bit: K.K_TUN_META * 32, bits: 8, format: 'hexadecimal' },
  { name: 'ttl', bit: K.K_TUN_META * 32 + 8, bits: 8, format: 'decimal' },
  { name: 'tp_src', bit: K.K_TUN_TP * 32, bits: 16, format: 'decimal' },
  { name: 'tp_dst', bit: K.K_TUN_TP * 32 + 16, bits: 16, format: 'decimal' },
]
const FLAGS: FieldBits = { bit: K.K_TUN_META * 32 + 16, bits: 16 }
const GBP: readonly TunnelPart[] = [
  { name: 'id', bit: K.K_TUN_GBP * 32 + 8, bits: 16, format: 'decimal' },
  { name: 'flags', bit: K.K_TUN_GBP * 32 + 24, bits: 8, format: 'hexadecimal' },
]
const PARTS: readonly TunnelPart[] = [TUN_ID, SRC4, DST4, SRC6, DST6, ...REST]
const ALL_FLAGS = flagBits(TUNNEL_FLAGS)

const MAPPED_PREFIX = 0xffffn

/** Undefined when the match says nothing of a tunnel. */
export const formatTunnel = (match: K.Match): string | undefined => {
  const out: string[] = []
  const push = (part: TunnelPart): void => {
    const mask = getField(match.mask, part)
    if (mask !== 0n) out.push(formatPart(part, getField(match.key, part), mask))
  }
  push(TUN_ID)
  push(isIpv4(match, SRC6) ? SRC4 : SRC6)
  push(isIpv4(match, DST6) ? DST4 : DST6)
  for (const part of REST) push(part)
  const gbp = GBP.filter((part) => getField(match.mask, part) !== 0n)
  if (gbp.length > 0) {
    const parts = gbp.map((part) => formatPart(part, getField(match.key, part), getField(match.mask, part)))
    out.push(`vxlan(gbp(${parts.join(',')}))`)
  }
  const flags = Number(getField(match.key, FLAGS))
  const flagsMask = Number(getField(match.mask, FLAGS))
  if ((flagsMask & ALL_FLAGS) !== 0) {
    const exact = (flagsMask & ALL_FLAGS) === ALL_FLAGS
    const text = exact
      ? flags === 0
        ? ''
        : formatFlags(TUNNEL_FLAGS, flags)
      : formatMaskedFlags(TUNNEL_FLAGS, flags, flagsMask)
    out.push(`flags(${text})`)
  }
  return out.length === 0 ? undefined : `tunnel(${out.join(',')})`
}

const formatPart = (part: TunnelPart, value: bigint, mask: bigint): string => {
  const masked = mask === fullMask(part) ? '' : `/${formatPartMask(part.format, mask)}`
  return `${part.name}=${formatPartValue(part.format, value)}${masked}`
}

/** An outer IPv4 address is matched as ::ffff:a.b.c.d with the whole prefix. */
const isIpv4 = (match: K.Match, whole: TunnelPart): boolean =>
  getField(match.mask, whole) >> 32n === 0n ||
  (getField(match.key, whole) >> 32n === MAPPED_PREFIX && getField(match.mask, whole) >> 32n === (1n << 96n) - 1n)

/** Reads the inside of `tunnel(...)`. */
export const parseTunnel = (match: K.Match, tokens: readonly OdpToken[]): void => {
  for (const token of tokens) {
    if (token.name === 'flags') parseTunnelFlags(match, token)
    else if (token.name === 'vxlan') parseGbp(match, token)
    else {
      const part = PARTS.find((p) => p.name === token.name)
      if (part === undefined) {
        const known = [...PARTS.map((p) => p.name), 'flags', 'vxlan']
        throw new FlowSyntaxError(
          `unknown part '${token.name}' of tunnel`,
          token.at,
          token.name,
          suggestion(token.name, known, 'a part of the outer header'),
        )
      }
      setPart(match, part, token)
      const whole = part === SRC4 ? SRC6 : part === DST4 ? DST6 : undefined
      if (whole !== undefined) {
        setField(match.key, whole, MAPPED_PREFIX << 32n, ((1n << 96n) - 1n) << 32n)
        setField(match.mask, whole, ((1n << 96n) - 1n) << 32n, ((1n << 96n) - 1n) << 32n)
      }
    }
  }
}

const parseTunnelFlags = (match: K.Match, token: OdpToken): void => {
  const text = token.body ?? token.value ?? ''
  const number = parseInteger(text)
  const parsed =
    text === ''
      ? { value: 0, mask: undefined }
      : number === undefined
        ? parseFlags(TUNNEL_FLAGS, text)
        : { value: Number(number), mask: undefined }
  if (typeof parsed === 'string')
    throw new FlowSyntaxError(`tunnel flags: ${parsed}`, token.valueAt, text, 'df|csum|key or -df+csum')
  const mask = BigInt(parsed.mask ?? ALL_FLAGS)
  setField(match.key, FLAGS, BigInt(parsed.value) & mask)
  setField(match.mask, FLAGS, mask)
}

const parseGbp = (match: K.Match, token: OdpToken): void => {
  const [gbp] = token.inside()
  if (gbp?.name !== 'gbp' || gbp.body === undefined) {
    throw new FlowSyntaxError('vxlan: no gbp(...)', token.valueAt, token.body ?? '', 'vxlan(gbp(id=N,flags=N))')
  }
  for (const inner of gbp.inside()) {
    const part = GBP.find((p) => p.name === inner.name)
    if (part === undefined)
      throw new FlowSyntaxError(`unknown part '${inner.name}' of gbp`, inner.at, inner.name, 'id or flags')
    setPart(match, part, inner)
  }
}

const setPart = (match: K.Match, part: TunnelPart, token: OdpToken): void => {
  const text = token.value ?? ''
  const [valueText = '', maskText] = text.split('/')
  const value = parsePartValue(part.format, valueText)
  const mask = maskText === undefined ? fullMask(part) : parsePartMask(part.format, maskText)
  if (value === undefined || mask === undefined || value > fullMask(part) || mask > fullMask(part)) {
    throw new FlowSyntaxError(
      `${part.name}: '${text}' is not right`,
      token.valueAt,
      text,
      `${PART_FORM[part.format]} of ${part.bits} bits`,
    )
  }
  setField(match.key, part, value & mask)
  setField(match.mask, part, mask)
}
