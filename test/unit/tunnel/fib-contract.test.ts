import { expect, test } from 'vitest'
import { concerns, type FibChange, type FibFound, type FibNone, memberFor } from '../../../src/tunnel/fib-contract.ts'

const dst = Uint8Array.of(198, 51, 100, 9)
const src = Uint8Array.of(192, 0, 2, 1)
const found: FibFound = {
  type: 'found',
  routeType: 'unicast',
  dev: 'v0',
  oif: 2,
  weight: 3,
  table: 254,
  prefix: { bytes: dst, length: 32 },
  multipath: [
    { oif: 2, weight: 3 },
    { oif: 3, weight: 1 },
  ],
  alternatives: [{ oif: 4, weight: 1 }],
}
const none: FibNone = { type: 'none', why: 'no-route' }

test('flows share a set by weight, and each keeps its member', () => {
  const { multipath: _, ...single } = found
  expect(memberFor(single, 12_345)).toBe(single)
  const taken = Array.from({ length: 4096 }, (_unused, i) => memberFor(found, i << 20).oif)
  expect(taken.filter((oif) => oif === 2)).toHaveLength(3072)
  expect(memberFor(found, 0).oif).toBe(2)
  expect(memberFor(found, -1).oif).toBe(3)
  expect(memberFor(found, 77)).toBe(memberFor(found, 77))
})

test('whom a change concerns', () => {
  const route = (bytes: number[], length: number): FibChange => ({
    kind: 'route',
    family: bytes.length === 4 ? 4 : 6,
    bytes: Uint8Array.from(bytes),
    length,
  })
  expect(concerns(route([198, 51, 100, 0], 24), { dst }, none)).toBe(true)
  expect(concerns(route([198, 51, 101, 0], 24), { dst }, none)).toBe(false)
  expect(concerns(route(Array<number>(16).fill(0), 0), { dst }, none)).toBe(false)
  expect(concerns(route([192, 0, 2, 1], 32), { dst, src }, none)).toBe(true)
  for (const ifindex of [2, 3, 4]) expect(concerns({ kind: 'link', ifindex }, { dst }, found)).toBe(true)
  expect(concerns({ kind: 'link', ifindex: 5 }, { dst }, found)).toBe(false)
  expect(concerns({ kind: 'link', ifindex: 5 }, { dst, oif: 5 }, none)).toBe(true)
  expect(concerns({ kind: 'link', ifindex: 5 }, { dst, iif: 5 }, none)).toBe(true)
  const address: FibChange = { kind: 'address', family: 4, ifindex: 9, address: src }
  expect(concerns(address, { dst }, none)).toBe(true)
  expect(concerns(address, { dst, src }, found)).toBe(true)
  expect(concerns(address, { dst, src: dst }, found)).toBe(false)
  expect(concerns(address, { dst: new Uint8Array(16) }, found)).toBe(false)
  for (const kind of ['rules', 'resync'] as const) expect(concerns({ kind }, { dst }, none)).toBe(true)
})
