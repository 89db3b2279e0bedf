import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readPcap, writePcap } from '../../system/kit/pcap.ts'
import { tcp, udp } from './frames.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapswitch-pcap-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('reads what was written', async () => {
  const frames = [tcp({ payload: 10 }), udp({ payload: 60_000 }), new Uint8Array(14)]
  const path = join(folder, 'a.pcap')
  writePcap(path, frames)
  expect((await readPcap(path)).map((f) => f.bytes)).toEqual(frames)
})

it('refuses a file that ends within a frame, which pcap-parser alone passes over', async () => {
  const path = join(folder, 'a.pcap')
  writePcap(path, [tcp({ payload: 10 }), tcp({ payload: 10 })])
  writeFileSync(path, readFileSync(path).subarray(0, -5))
  await expect(readPcap(path)).rejects.toThrow(/truncated dump file/)
})

it('refuses a record that claims more than the file holds', async () => {
  const path = join(folder, 'a.pcap')
  writePcap(path, [tcp({ payload: 10 })])
  const bytes = readFileSync(path)
  bytes.writeUInt32LE(0x7fff_ffff, 24 + 8)
  writeFileSync(path, bytes)
  await expect(readPcap(path)).rejects.toThrow(path)
})
