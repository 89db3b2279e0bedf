/**
 * An encap entry as words of a ring, its actions compiled: `[id, state | version << 8 | flags << 16, lost, next hop, mtu, program length, header (bytes, padded to
 * words), program]`. The worker's side of the ring makes the row for its table from it; the writer's side makes
 * the row that it writes with `encapRow`.
 */
import { createEncapRow, type EncapRow, encapHeaderLength } from './encap-table.ts'

const FIXED = 6

const headerWords = (version: number): number => (encapHeaderLength(version) + 3) >>> 2

/** Words that `writeEncapRecord` will write. */
export const encapRecordWords = (row: EncapRow): number => FIXED + headerWords(row.version) + row.program.length

export const writeEncapRecord = (words: Int32Array, at: number, row: EncapRow): void => {
  words[at] = row.id
  words[at + 1] = row.state | (row.version << 8) | (row.flags << 16)
  words[at + 2] = row.lost
  words[at + 3] = row.nextHop
  words[at + 4] = row.mtu
  words[at + 5] = row.program.length
  const { header } = row
  const program = at + FIXED + headerWords(row.version)
  for (let w = at + FIXED, i = 0; w < program; w++, i += 4)
    words[w] = header[i]! | (header[i + 1]! << 8) | ((header[i + 2] ?? 0) << 16) | ((header[i + 3] ?? 0) << 24)
  words.set(row.program, program)
}

/** The row that was written. Copies: the ring's words may be reused afterwards. */
export const readEncapRecord = (words: Int32Array, at: number): EncapRow => {
  const packed = words[at + 1]!
  const version = (packed >>> 8) & 0xff
  const header = new Uint8Array(encapHeaderLength(version))
  for (let i = 0; i < header.length; i++) header[i] = words[at + FIXED + (i >>> 2)]! >>> (8 * (i & 3))
  const program = at + FIXED + headerWords(version)
  return createEncapRow({
    id: words[at]!,
    state: packed & 0xff,
    lost: words[at + 2]!,
    nextHop: words[at + 3]!,
    flags: packed >>> 16,
    version,
    mtu: words[at + 4]!,
    header,
    program: words.slice(program, program + words[at + 5]!),
  })
}
