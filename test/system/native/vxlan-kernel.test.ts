/**
 * Outer headers of ours before the kernel's own VXLAN device, and its before ours: super-frames whole where the TAP takes them, cut where it does not, single
 * packets with partial and complete checksums.
 */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { TUNNEL_OK } from '../../../src/flow/execute.ts'
import {
  native,
  RX_BIG_USED,
  RX_RESULT_WORDS,
  RX_SMALL_USED,
  RX_SPARE,
  TX_RESULT_WORDS,
  TX_WRITES,
} from '../../../src/native/binding.ts'
import {
  GSO_UDP_L4,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_HDR_LEN,
  M_PORT,
  M_TUN_ID,
  M_TUN_SRC,
  M_VFLAGS,
  META_WORDS,
  setTunnelPorts,
} from '../../../src/packet/slot.ts'
import { build } from '../../pipeline/tiers/frames.ts'
import { Bench, entryOf, LOCAL4, LOCAL6, OUTER, PEER4, PEER6 } from '../../unit/flow/tunnel-kit.ts'
import { needKernel } from '../kit/kernel.ts'
import type { Running } from '../kit/process.ts'
import { Testbed } from '../kit/testbed.ts'
import { type Side, tap } from './splice.ts'

let bed: Testbed
beforeEach(() => {
  bed = new Testbed()
})
afterEach(() => bed.close())

const SIZE = 1200
const PAYLOAD = Array.from({ length: 25_000 }, (_, i) => (i * 7) & 255)
const ECHO = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.bind(('', 7777))
s.settimeout(20)
print('bound')
got = [s.recvfrom(65536) for _ in range(23)]
print('lengths', [len(d) for d, _ in got])
print('whole', b''.join(d for d, _ in got[:21]) == bytes((i * 7) & 255 for i in range(25000)), 'end')
s.setsockopt(17, 103, ${SIZE})
s.sendto(bytes((i * 7) & 255 for i in range(25000)), got[0][1])
`

const send = (bench: Bench, side: Side, slot: number): number => {
  const result = new Int32Array(TX_RESULT_WORDS)
  const { bytes, meta } = bench.arena
  const context = native.txOpen(
    ...([side.fd, side.kind, side.vnetHdr, side.offloads] as const),
    ...([bytes, meta, Int32Array.of(slot), result, bench.arena.tunnels] as const),
  )
  native.txBatch(context, 0, 1)
  expect([...result].slice(1, 5)).toEqual([0, 0, 0, 0])
  bench.pool.give(slot)
  return result[TX_WRITES]!
}

/** Reads frames until those from inside of the tunnel have brought all of the answer; how many came as super-frames. */
const receive = async (bench: Bench, side: Side, peer: readonly number[], echo: Running): Promise<number> => {
  const { bytes, meta } = bench.arena
  const { pool } = bench
  const out = new Int32Array(16 + RX_SPARE)
  const result = new Int32Array(RX_RESULT_WORDS)
  const context = native.rxOpen(
    ...([side.fd, side.kind, side.vnetHdr, 1, bytes, meta, pool.smallStack] as const),
    ...([pool.bigStack, out, result, bench.arena.tunnels] as const),
  )
  const got: number[] = []
  let supers = 0
  await expect
    .poll(
      () => {
        const n = native.rxBatch(context, pool.smallFree, pool.bigFree, 16)
        pool.smallFree -= result[RX_SMALL_USED]!
        pool.bigFree -= result[RX_BIG_USED]!
        for (const slot of out.subarray(0, n)) {
          const m = slot * META_WORDS
          const code = bench.executor.pop(slot, 4)
          if (code === TUNNEL_OK && bench.frameOf(slot).slice(36, 38).join() === '3,232') {
            expect(meta[m + M_TUN_ID + 1]).toBe(OUTER.vni)
            expect([...meta.slice(m + M_TUN_SRC, m + M_TUN_SRC + 4)]).toEqual(peer)
            expect(meta[m + M_PORT]).toBe(4)
            if (meta[m + M_GSO_TYPE] !== 0) {
              supers++
              expect([meta[m + M_GSO_TYPE], meta[m + M_GSO_SIZE], meta[m + M_CSUM_START]]).toEqual([
                GSO_UDP_L4,
                SIZE,
                34,
              ])
            }
            got.push(...bench.frameOf(slot).slice(42))
          }
          pool.give(slot)
        }
        return got.length
      },
      { interval: 2, timeout: 20_000, message: echo.stdout },
    )
    .toBe(PAYLOAD.length)
  expect(got).toEqual(PAYLOAD)
  return supers
}

const MAC = '02:aa:00:00:00:02'
/** TUN_F_*. */
const USO = 0x60
const TUNNEL_GSO = 0x180
/** `no tunnels`: what Linux 6.2 to 6.16 offers. */
const check = async (version: 4 | 6, csum: boolean, offloads: 'best' | 'no tunnels' | 'none'): Promise<void> => {
  const guest = await bed.guest('b')
  const all = tap(bed, { name: 't0', netns: guest.netns, offloads: offloads === 'none' ? 'none' : 'best' })
  const side = offloads === 'no tunnels' ? { ...all, offloads: all.offloads & ~TUNNEL_GSO } : all
  const [local, peer] = version === 4 ? [LOCAL4, PEER4] : [LOCAL6, PEER6]
  await guest.must(['ip', 'link', 'set', 't0', 'mtu', '1600', 'address', MAC])
  await guest.address('t0', version === 4 ? `${peer}/24` : `${peer}/64`)
  const flags = version === 4 ? [csum ? 'udpcsum' : 'noudpcsum'] : csum ? [] : ['udp6zerocsumtx', 'udp6zerocsumrx']
  const ends = ['local', peer, 'remote', local, 'dstport', '4789', ...flags]
  await guest.must([
    ...['ip', 'link', 'add', 'x0', 'address', '02:00:00:00:00:02', 'type', 'vxlan', 'id', String(OUTER.vni), ...ends],
  ])
  await guest.address('x0', '10.10.0.2/24')
  await guest.must(['ip', 'neigh', 'replace', local, 'lladdr', '02:aa:00:00:00:01', 'dev', 't0'])
  await guest.must(['ip', 'neigh', 'replace', '10.10.0.1', 'lladdr', '02:00:00:00:00:01', 'dev', 'x0'])
  const echo = guest.start(['/usr/bin/python3', '-u', '-c', ECHO])
  await echo.until(/bound/)

  const bench = new Bench().put(entryOf({ ...OUTER, version, csum }))
  setTunnelPorts(bench.arena, [4789])
  const inner = (payload: number[], partial: boolean): number[] => [
    ...build(
      {
        ...{ dst: '02:00:00:00:00:02', src: '02:00:00:00:00:01', ip: { src: '10.10.0.1', dst: '10.10.0.2' } },
        ...{ udp: { src: 1000, dst: 7777 }, payload },
      },
      partial,
    ),
  ]
  const partial = { [M_VFLAGS]: 1, [M_CSUM_START]: 34, [M_CSUM_OFF]: 6 }
  const push = (frame: number[], words: Record<number, number>): number => {
    const slot = bench.load(frame, words)
    expect(bench.executor.encapInto(slot, 3)).toBe(TUNNEL_OK)
    return send(bench, side, slot)
  }
  const writes = push(inner(PAYLOAD, true), {
    ...partial,
    [M_GSO_TYPE]: GSO_UDP_L4,
    [M_GSO_SIZE]: SIZE,
    [M_HDR_LEN]: 42,
  })
  const whole = (side.offloads & 0x1a0) === 0x1a0
  const packed = offloads === 'no tunnels' && (side.offloads & USO) === USO
  expect(writes).toBe(whole || packed ? 1 : 21)
  expect(push(inner([1, 2, 3], true), partial)).toBe(1)
  expect(push(inner([1, 2, 3, 4, 5], false), {})).toBe(1)
  await echo.until(/end/)
  expect(echo.stdout).toContain(`lengths [${[...new Array<number>(20).fill(SIZE), 1000, 3, 5].join(', ')}]`)
  expect(echo.stdout).toContain('whole True')
  const address = version === 4 ? [0, 0, 0xffff, 0xc0a80002 | 0] : [0xfd000000 | 0, 0, 0, 2]
  const supers = await receive(bench, side, address, echo)
  if (whole) expect(supers).toBe(1)
  else if (offloads === 'none') expect(supers).toBe(0)
}

const CASES = [
  [4, false, 'best'],
  [4, true, 'best'],
  [6, false, 'best'],
  [6, true, 'best'],
  [4, true, 'none'],
  [6, true, 'none'],
  [4, true, 'no tunnels'],
  [6, true, 'no tunnels'],
] as const
for (const [version, csum, offloads] of CASES) {
  it(`over IPv${version}, ${csum ? 'with' : 'without'} outer checksum, TAP with offloads: ${offloads}`, async (context) => {
    await needKernel(context, 'vxlan')
    await check(version, csum, offloads)
  })
}
