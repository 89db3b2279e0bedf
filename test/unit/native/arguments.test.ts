/** Wrong arguments and failed system calls: an exception with a plain message, never an abort. */
import { describe, expect, it } from 'vitest'
import {
  type Native,
  type NativeError,
  native,
  RX_RESULT_WORDS,
  RX_SPARE,
  TX_RESULT_WORDS,
} from '../../../src/native/binding.ts'
import { arena } from './slot.ts'

type Anything = (...args: readonly unknown[]) => unknown
const call = (name: keyof Native, ...args: readonly unknown[]): unknown => (native[name] as Anything)(...args)

const NO_ARGUMENTS: readonly string[] = ['layout', 'epollCreate', 'eventfd']
const names = Object.keys(native) as (keyof Native)[]
const taking = names.filter((name) => !NO_ARGUMENTS.includes(name))

const WRONG = [
  undefined,
  null,
  'x',
  Number.NaN,
  1e300,
  -0.5,
  {},
  [],
  1n,
  Symbol('s'),
  () => 1,
  new Float64Array(4),
  new ArrayBuffer(8),
]

describe.each(taking)('%s', (name) => {
  it('wants its arguments', () => {
    expect(() => call(name)).toThrow(TypeError)
  })

  // setns takes null, and any string for a name. Numbers that are none must not become descriptor 0.
  it.each(WRONG.filter((wrong) => name !== 'setns' || (wrong !== null && wrong !== 'x')))('refuses %o', (wrong) => {
    expect(() => call(name, ...new Array<unknown>(13).fill(wrong))).toThrow(TypeError)
  })
})

const { bytes, meta } = arena
const slots = new Int32Array(8)
const tx = new Int32Array(TX_RESULT_WORDS)
const rx = new Int32Array(RX_RESULT_WORDS)
const none = new Int32Array(1)
const empty = new Int32Array(0)
const room = new Int32Array(1 + RX_SPARE)

const reader = (small: Int32Array): unknown => native.rxOpen(0, 0, 0, 0, bytes, meta, small, slots, room, rx, none)
const writer = (part: Int32Array): unknown => native.txOpen(0, 0, 0, 0, bytes, meta, part, tx, none)
const waiter = (ep: number): unknown => native.epollOpen(ep, slots, slots, new Float64Array(1))

const OUT_OF_BOUNDS: [string, keyof Native, unknown[], RegExp][] = [
  ['a header of no known size', 'txOpen', [0, 0, 11, 0, bytes, meta, slots, tx, none], /vnetHdr: 0, 10, 12 or 24/],
  ['a short result', 'txOpen', [0, 0, 0, 0, bytes, meta, slots, tx.subarray(1), none], /at least 8 elements/],
  ['no list of tunnels', 'txOpen', [0, 0, 0, 0, bytes, meta, slots, tx, empty], /at least 1/],
  ['a negative start', 'txBatch', [writer(slots), -1, 1], /from, n/],
  ['more slots than there are', 'txBatch', [writer(slots), 4, 5], /from, n/],
  ['sums beyond 2^31', 'txBatch', [writer(slots), 0x7fffffff, 0x7fffffff], /from, n/],
  ['a slot that is not', 'txBatch', [writer(Int32Array.of(5)), 0, 1], /slot 5: 0 to 5 exclusive/],
  ['a negative slot', 'txBatch', [writer(Int32Array.of(-1)), 0, 1], /slot -1/],
  ['a header of no known size', 'rxOpen', [0, 0, 25, 0, bytes, meta, slots, slots, room, rx, none], /vnetHdr: 0 to 24/],
  ['a short result', 'rxOpen', [0, 0, 0, 0, bytes, meta, slots, slots, room, rx.subarray(1), none], /at least 8/],
  ['a short output', 'rxOpen', [0, 0, 0, 0, bytes, meta, slots, slots, slots, rx, none], /at least 128/],
  ['no list of tunnels', 'rxOpen', [0, 0, 0, 0, bytes, meta, slots, slots, room, rx, empty], /at least 1/],
  ['a short stack', 'rxBatch', [reader(slots), 9, 0, 1], /as many as the stacks hold/],
  ['fewer slots than none', 'rxBatch', [reader(slots), 0, -1, 1], /as many as the stacks hold/],
  ['more frames than places', 'rxBatch', [reader(slots), 0, 0, 2], /max: at most 1 /],
  ['a slot that is not', 'rxBatch', [reader(Int32Array.of(7)), 1, 0, 1], /outside/],
  ['no room for events', 'epollOpen', [0, empty, slots, new Float64Array(1)], /at least 1/],
  ['a range past the end', 'checksum', [new Uint8Array(4), 2, 3, 0], /part of bytes/],
  ['a negative offset', 'checksum', [new Uint8Array(4), -1, 2, 0], /part of bytes/],
  ['a slot that is not', 'segment', [bytes, meta, 5, new Uint8Array(9), slots], /slot 5/],
  ['a slot that is not', 'completeChecksum', [bytes, meta, -2], /slot -2/],
  ['a long name', 'openTap', [{ name: 'sixteen-bytes-xx' }], /1 to 15 bytes/],
  ['an empty name', 'openTap', [{ name: '' }], /1 to 15 bytes/],
  ['unknown offloads', 'openTap', [{ name: 'x', offloads: 'some' }], /best.*none/],
]

it.each(OUT_OF_BOUNDS)('%s is a RangeError of %s', (_, name, args, message) => {
  expect(() => call(name, ...args)).toThrow(RangeError)
  expect(() => call(name, ...args)).toThrow(message)
})

it.each([
  ['txBatch', 'rx'],
  ['rxBatch', 'epoll'],
  ['epollWait', 'tx'],
] as const)('%s does not take a context of %s', (name, other) => {
  const contexts = { rx: reader(slots), tx: writer(slots), epoll: waiter(0) }
  expect(() => call(name, contexts[other], 0, 0, 0)).toThrow(/argument 0: a context of .*Open expected/)
})

it('results are left alone by a refused call', () => {
  tx.fill(7)
  expect(() => call('txBatch', writer(slots), 7, 2)).toThrow(RangeError)
  expect([...tx]).toEqual(new Array(8).fill(7))
})

const FAILING: [keyof Native, unknown[], string, number, RegExp][] = [
  ['close', [-1], 'EBADF', 9, /^close$/],
  ['setCarrier', [-1, true], 'EBADF', 9, /TUNSETCARRIER/],
  ['epollAdd', [-1, -1, 0], 'EBADF', 9, /epoll_ctl/],
  ['epollDel', [-1, -1], 'EBADF', 9, /epoll_ctl/],
  ['epollWait', [waiter(-1), 0], 'EBADF', 9, /epoll_wait/],
  ['eventfdSignal', [-1], 'EBADF', 9, /eventfd/],
  ['eventfdWait', [999_999, 0], 'EBADF', 9, /eventfd/],
  ['eventfdDrain', [-1], 'EBADF', 9, /eventfd/],
  ['netlinkSend', [-1, new Uint8Array(16)], 'EBADF', 9, /AF_NETLINK/],
  ['netlinkRecv', [-1, new Uint8Array(16)], 'EBADF', 9, /AF_NETLINK/],
  ['watch', [-1, () => undefined], 'EBADF', 9, /epoll_ctl/],
  ['setns', ['tapswitch-no-such'], 'ENOENT', 2, /netns/],
  ['setns', ['../etc'], 'EINVAL', 22, /netns/],
  ['openPacket', [{ name: 'no-such-link' }], 'ENODEV', 19, /no-such-link/],
]

it.each(FAILING)('%s(%o) fails with %s', (name, args, code, errno, syscall) => {
  let caught: unknown
  try {
    call(name, ...args)
  } catch (error) {
    caught = error
  }
  expect(caught).toBeInstanceOf(Error)
  const error = caught as NativeError
  expect({ code: error.code, errno: error.errno }).toEqual({ code, errno })
  expect(error.syscall).toMatch(syscall)
  expect(error.message).toContain(code)
})
