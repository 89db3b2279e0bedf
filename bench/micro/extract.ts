/**
 * Nanoseconds a frame for flow extraction and header offsets, of frames in shared memory. Run it bundled:
 * `npx rolldown bench/micro/extract.ts -o build/extract.mjs --platform node && node build/extract.mjs`.
 */
import { extract } from '../../src/flow/extract.ts'
import { createKey } from '../../src/flow/key.ts'
import { L_WORDS, parseOffsets } from '../../src/packet/layout.ts'

const hex = (text: string): number[] => text.match(/../g)!.map((h) => Number.parseInt(h, 16))
const ETH = '020000000202020000000101'
const PORTS = '9c4101bb'
const TCP = `${PORTS}0000000100000000501010000000${'00'.repeat(2)}`
const IPV4 = (proto: string, len: string): string => `4500${len}000740003f${proto}00000a010203c0a84dc8`
const frames: Record<string, number[]> = {
  'TCP/IPv4': hex(`${ETH}0800${IPV4('06', '0034')}${TCP}${'61'.repeat(12)}`),
  'UDP/IPv4': hex(`${ETH}0800${IPV4('11', '0024')}${PORTS}00100000${'61'.repeat(8)}`),
  'VLAN TCP/IPv4': hex(`${ETH}8100600a0800${IPV4('06', '0034')}${TCP}${'61'.repeat(12)}`),
  'TCP/IPv6': hex(`${ETH}86dd600000000020063f${'20010db8000000000000000000000001'.repeat(2)}${TCP}${'61'.repeat(12)}`),
  ARP: hex(`${ETH}08060001080006040001020000000101${'0a000001'}0000000000000a000002`),
}

const FRAMES = 64
const ROUNDS = 40_000

const measure = (name: string, frame: number[], run: (bytes: Uint8Array, off: number, len: number) => void): void => {
  const bytes = new Uint8Array(new SharedArrayBuffer(FRAMES * 2048))
  for (let i = 0; i < FRAMES; i++) bytes.set(frame, i * 2048 + 192)
  let best = Number.POSITIVE_INFINITY
  for (let repeat = 0; repeat < 7; repeat++) {
    const start = process.hrtime.bigint()
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < FRAMES; i++) run(bytes, i * 2048 + 192, frame.length)
    }
    best = Math.min(best, Number(process.hrtime.bigint() - start) / (ROUNDS * FRAMES))
  }
  process.stdout.write(`${name.padEnd(28)}${best.toFixed(1).padStart(8)} ns\n`)
}

const key = createKey()
const offsets = new Int32Array(L_WORDS)
for (const [name, frame] of Object.entries(frames)) {
  measure(`extract ${name}`, frame, (bytes, off, len) => extract(bytes, off, len, key))
}
for (const [name, frame] of Object.entries(frames)) {
  measure(`offsets ${name}`, frame, (bytes, off, len) => parseOffsets(bytes, off, len, offsets))
}
