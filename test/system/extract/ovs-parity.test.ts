/**
 * The oracle of extraction: Debian's ovs-ofctl must print the same line for every frame. Base frames by scapy
 * (frames.py), each of them cut at every length and hit by random bytes, then frames from the random generator.
 * TAPSWITCH_FUZZ=1 runs the latter for long; TAPSWITCH_SEED repeats a run.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCapture } from '../../../src/packet/pcap.ts'
import { differences } from '../../fuzz/extract/compare.ts'
import { disturb, randomFrame } from '../../fuzz/extract/frames.ts'
import { Random } from '../../fuzz/extract/random.ts'

const LONG = process.env['TAPSWITCH_FUZZ'] === '1'
const SEED = Number(process.env['TAPSWITCH_SEED'] ?? (LONG ? Date.now() % 1_000_000_007 : 1))
/** Beyond this no header of the base frames begins. */
const HEADERS = 300

describe('extraction agrees with ovs-ofctl parse-pcap', () => {
  const base: Uint8Array[] = []
  let dir = ''

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'tapswitch-frames-'))
    const path = join(dir, 'base.pcap')
    execFileSync('/usr/bin/python3', [join(import.meta.dirname, 'frames.py'), path], { stdio: 'pipe' })
    const reader = openCapture(readFileSync(path))
    if (typeof reader === 'string') throw new Error(reader)
    for (let f = reader.next(); f !== undefined; f = reader.next()) base.push(f.bytes)
    expect(reader.error).toBeUndefined()
  })

  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it('on well-formed and deliberately malformed frames of every protocol', () => {
    expect(base.length).toBeGreaterThan(100)
    expect(differences(base)).toEqual([])
  })

  it('on each of them cut at every length', () => {
    const cut: Uint8Array[] = []
    for (const frame of base) {
      for (let length = 1; length < Math.min(frame.length, HEADERS); length++) cut.push(frame.subarray(0, length))
    }
    expect(cut.length).toBeGreaterThan(5000)
    expect(differences(cut)).toEqual([])
  })

  it('on each of them with any header byte set to 0, 1 and 255', () => {
    const changed: Uint8Array[] = []
    for (const frame of base) {
      const head = frame.subarray(0, HEADERS)
      for (let at = 12; at < Math.min(head.length, 96); at++) {
        for (const value of [0, 1, 0xff]) {
          const copy = Uint8Array.from(head)
          copy[at] = value
          changed.push(copy)
        }
      }
    }
    expect(differences(changed)).toEqual([])
  })

  it(`on each of them disturbed at random (seed ${SEED})`, () => {
    const r = new Random(SEED)
    const frames = base.flatMap((frame) => Array.from({ length: 40 }, () => disturb(r, frame.subarray(0, HEADERS))))
    expect(differences(frames)).toEqual([])
  })

  it(`on random frames (seed ${SEED})`, { timeout: LONG ? 3_600_000 : 60_000 }, () => {
    const r = new Random(SEED)
    for (let round = 0; round < (LONG ? 200 : 1); round++) {
      const frames = Array.from({ length: 20_000 }, () => randomFrame(r))
      expect(differences(frames)).toEqual([])
    }
  })
})
