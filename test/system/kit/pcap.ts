/**
 * Classic pcap files (microseconds, Ethernet): written for replay and tests, read by pcap-parser. That reader ends silently at a truncated record, so
 * the number of frames is checked against what tcpdump reads in the same file.
 */

import type { EventEmitter } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { run } from './process.ts'

export interface CapturedFrame {
  readonly seconds: number
  readonly micros: number
  /** Length on the wire; `bytes` is shorter when the capture cut it. */
  readonly length: number
  readonly bytes: Uint8Array
}

interface PcapPacket {
  header: { timestampSeconds: number; timestampMicroseconds: number; capturedLength: number; originalLength: number }
  data: Buffer
}

const { parse } = createRequire(import.meta.url)('pcap-parser') as { parse: (path: string) => EventEmitter }

const parseFrames = (path: string): Promise<CapturedFrame[]> =>
  new Promise((resolve, reject) => {
    const frames: CapturedFrame[] = []
    const parser = parse(path)
    parser.on('error', (error: Error) => reject(new Error(`${path}: ${error.message}`)))
    parser.on('packet', ({ header, data }: PcapPacket) =>
      frames.push({
        seconds: header.timestampSeconds,
        micros: header.timestampMicroseconds,
        length: header.originalLength,
        bytes: new Uint8Array(data),
      }),
    )
    parser.on('end', () => resolve(frames))
  })

/** Frames that tcpdump counts in the file. Throws with its words when the file is damaged. */
export const countByTcpdump = async (path: string): Promise<number> => {
  const { code, stdout, stderr } = await run(['tcpdump', '-n', '-r', path, '--count'], { timeout: 60_000 })
  if (code !== 0) throw new Error(`${path}: tcpdump cannot read it: ${stderr.trim()}`)
  return Number(`${stdout}\n${stderr}`.match(/^(\d+) packets?/m)?.[1] ?? Number.NaN)
}

/** Reads a capture whole. Throws when the two readers disagree about the number of frames. */
export const readPcap = async (path: string): Promise<CapturedFrame[]> => {
  const [frames, count] = await Promise.all([parseFrames(path), countByTcpdump(path)])
  if (frames.length !== count) throw new Error(`${path}: pcap-parser read ${frames.length} frames, tcpdump ${count}`)
  return frames
}

/** Writes frames one microsecond apart. */
export const writePcap = (path: string, frames: readonly Uint8Array[]): void => {
  const head = Buffer.alloc(24)
  head.writeUInt32LE(0xa1b2c3d4, 0)
  head.writeUInt16LE(2, 4)
  head.writeUInt16LE(4, 6)
  head.writeUInt32LE(262_144, 16)
  head.writeUInt32LE(1, 20)
  const parts: Uint8Array[] = [head]
  frames.forEach((frame, i) => {
    const record = Buffer.alloc(16)
    record.writeUInt32LE(Math.floor(i / 1e6), 0)
    record.writeUInt32LE(i % 1e6, 4)
    record.writeUInt32LE(frame.length, 8)
    record.writeUInt32LE(frame.length, 12)
    parts.push(record, frame)
  })
  writeFileSync(path, Buffer.concat(parts))
}
