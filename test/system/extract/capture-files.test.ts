/**
 * The kinds of capture files: what ovs-ofctl reads, parse-pcap reads to the same lines; what it cannot read is at
 * least told apart.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parsePcapFile } from '../../../src/cli/parse-pcap.ts'
import { randomFrame } from '../../fuzz/extract/frames.ts'
import { Random } from '../../fuzz/extract/random.ts'

const random = new Random(5)
const frames = Array.from({ length: 50 }, () => randomFrame(random))

const words = (little: boolean, values: number[]): Buffer => {
  const out = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => void (little ? out.writeUInt32LE(value, i * 4) : out.writeUInt32BE(value, i * 4)))
  return out
}

const file = (magic: number, little: boolean, link: number, records: readonly Uint8Array[]): Buffer =>
  Buffer.concat([
    words(little, [magic, little ? 0x00040002 : 0x00020004, 0, 0, 65535, link]),
    ...records.flatMap((r) => [words(little, [1, 2, r.length, r.length]), r]),
  ])

const cooked = (frame: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([0, 0, 0, 1, 0, 6]), frame.subarray(6, 12), Buffer.from([0, 0]), frame.subarray(12)])

describe('parse-pcap reads', () => {
  let dir = ''
  let path = ''

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'tapswitch-captures-'))
    path = join(dir, 'capture')
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  const ours = (): { lines: string[]; error: string } => {
    const lines: string[] = []
    try {
      for (const line of parsePcapFile(path)) lines.push(line)
    } catch (error) {
      return { lines, error: (error as Error).message }
    }
    return { lines, error: '' }
  }

  const theirs = (): string[] =>
    spawnSync('ovs-ofctl', ['parse-pcap', path], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((line) => line !== '')

  const kinds: [string, number, boolean][] = [
    ['microseconds, little endian', 0xa1b2c3d4, true],
    ['microseconds, big endian', 0xa1b2c3d4, false],
    ['nanoseconds, little endian', 0xa1b23c4d, true],
    ['nanoseconds, big endian', 0xa1b23c4d, false],
  ]
  for (const [name, magic, little] of kinds) {
    it(`${name}, as ovs-ofctl does`, () => {
      writeFileSync(path, file(magic, little, 1, frames))
      expect(theirs().length).toBe(frames.length)
      expect(ours()).toEqual({ lines: theirs(), error: '' })
    })
  }

  it('Linux cooked frames, as ovs-ofctl does', () => {
    writeFileSync(path, file(0xa1b2c3d4, true, 113, frames.filter((f) => f.length >= 14).map(cooked)))
    expect(theirs().length).toBeGreaterThan(20)
    expect(ours()).toEqual({ lines: theirs(), error: '' })
  })

  it('the whole frames of a file that breaks off, as ovs-ofctl does, and says so', () => {
    const whole = file(0xa1b2c3d4, true, 1, frames)
    writeFileSync(path, whole.subarray(0, whole.length - 1))
    expect(theirs().length).toBe(frames.length - 1)
    expect(ours().lines).toEqual(theirs())
    expect(ours().error).toMatch(/capture: file ends inside record 50: \d+ of \d+ bytes are there$/)
  })

  it('beyond an empty record, where ovs-ofctl stops', () => {
    writeFileSync(path, file(0xa1b2c3d4, true, 1, [frames[0]!, new Uint8Array(0), frames[1]!]))
    expect(theirs().length).toBe(1)
    expect(ours().lines.length).toBe(3)
  })

  it('no other link type, no other file, no missing file, and says which', () => {
    writeFileSync(path, file(0xa1b2c3d4, true, 105, frames))
    expect(ours()).toEqual({
      lines: [],
      error: `${path}: link type 105, Ethernet (1) or Linux cooked v1 (113) expected`,
    })
    writeFileSync(path, 'plain text')
    expect(ours().error).toMatch(/not a capture file: magic/)
    rmSync(path)
    expect(ours().error).toMatch(/ENOENT/)
  })
})
