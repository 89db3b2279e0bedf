/**
 * Encap entries as the interpreter uses them: flat, with everything worked out that packets of one entry share. One table per worker, changed at batch
 * boundaries only; nothing is allocated per frame.
 */
import { checksumAdd } from '../packet/checksum.ts'
import type { EncapEntry, EncapState } from './encap.ts'
import { compileActions } from './program.ts'

/** EncapRow.state */
export const ENCAP_READY = 0
export const ENCAP_PENDING = 1
export const ENCAP_DROP = 2

const STATES: Readonly<Record<EncapState, number>> = { ready: ENCAP_READY, pending: ENCAP_PENDING, drop: ENCAP_DROP }

/** One entry. Fields as in EncapEntry; sums are of 16-bit words, not folded. */
export interface EncapRow {
  readonly id: number
  /** ENCAP_READY, ENCAP_PENDING or ENCAP_DROP. */
  readonly state: number
  /** LOST_*, of state ENCAP_DROP. */
  readonly lost: number
  readonly nextHop: number
  /** ENCAP_* flags of encap.ts. */
  readonly flags: number
  readonly version: number
  readonly mtu: number
  readonly header: Uint8Array
  /** The header again, two bytes each as the machine has them in memory. */
  readonly halves: Uint16Array
  /** The underlay actions, compiled; ends in consumers. */
  readonly program: Int32Array
  /** Of the IPv4 header's words that are the same in all packets: fragment word and addresses. 0 over IPv6. */
  readonly ipSum: number
  /** Of the UDP pseudo-header without length. */
  readonly pseudoSum: number
  /** Of UDP destination port and VXLAN header. */
  readonly udpSum: number
}

export const OUTER_ETH = 14
const UDP_AND_VXLAN = 16

/** Bytes that an entry puts in front: Ethernet, IP, UDP, VXLAN. */
export const encapHeaderLength = (version: number): number => (version === 4 ? 50 : 70)

/** A row from its parts. Throws RangeError for a header of another length than its version has. */
export const createEncapRow = (
  parts: Omit<EncapRow, 'halves' | 'ipSum' | 'pseudoSum' | 'udpSum'> & { readonly header: Uint8Array },
): EncapRow => {
  const { header, version } = parts
  if (header.length !== encapHeaderLength(version))
    throw new RangeError(`outer header of ${header.length} bytes: ${encapHeaderLength(version)} expected`)
  const udp = header.length - UDP_AND_VXLAN
  const addresses = version === 4 ? 8 : 32
  return {
    ...parts,
    halves: new Uint16Array(header.slice().buffer),
    ipSum: version === 4 ? checksumAdd(0, header, OUTER_ETH + 6, 2) + checksumAdd(0, header, OUTER_ETH + 12, 8) : 0,
    pseudoSum: checksumAdd(17, header, udp - addresses, addresses),
    udpSum: checksumAdd(0, header, udp + 2, 2) + checksumAdd(0, header, udp + 8, 8),
  }
}

/** A row from an entry, for the thread that holds entries (outer fragmentation, tests). Throws ProgramError, RangeError. */
export const encapRow = (entry: EncapEntry): EncapRow =>
  createEncapRow({
    id: entry.id,
    state: STATES[entry.state],
    lost: entry.lost,
    nextHop: entry.nextHop,
    flags: entry.flags,
    version: entry.version,
    mtu: entry.mtu,
    header: entry.header.slice(),
    program: compileActions(entry.actions),
  })

export class EncapTable {
  readonly #rows: (EncapRow | undefined)[] = []

  /** Inserts or replaces. */
  put(row: EncapRow): void {
    while (this.#rows.length <= row.id) this.#rows.push(undefined)
    this.#rows[row.id] = row
  }

  del(id: number): void {
    if (id < this.#rows.length) this.#rows[id] = undefined
  }

  /** Hot path. */
  get(id: number): EncapRow | undefined {
    return id < this.#rows.length ? this.#rows[id] : undefined
  }

  clear(): void {
    this.#rows.length = 0
  }
}
