import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { native } from '../../../src/native/binding.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'

const RTNLGRP_IPV4_ROUTE = 7
const NLMSG_DONE = 3
const RTM_NEWLINK = 16
const RTM_GETLINK = 18
const RTM_NEWROUTE = 24
const REQUEST_DUMP = 0x301

let bed: Testbed
let guest: Guest
beforeEach(async () => {
  bed = new Testbed()
  guest = await bed.guest('g')
})
afterEach(() => bed.close())

const buffer = new Uint8Array(65536)
const view = new DataView(buffer.buffer)

const open = (rcvbuf?: number): { fd: number; portid: number } => {
  const groups = [RTNLGRP_IPV4_ROUTE]
  const socket = native.netlinkOpen({ netns: guest.netns, groups, ...(rcvbuf === undefined ? {} : { rcvbuf }) })
  bed.defer(() => native.close(socket.fd))
  return socket
}

/** Types of the messages in a datagram of `length` bytes. */
const typesOf = (length: number): number[] => {
  const types: number[] = []
  for (let at = 0; at + 16 <= length; at += (view.getUint32(at, true) + 3) & ~3)
    types.push(view.getUint16(at + 4, true))
  return types
}

/** Everything that waits: message types and how often the socket had overrun. */
const drain = (fd: number): { types: number[]; overruns: number } => {
  const types: number[] = []
  let overruns = 0
  for (;;) {
    const n = native.netlinkRecv(fd, buffer)
    if (n === 0) return { types, overruns }
    if (n < 0) overruns++
    else types.push(...typesOf(n))
  }
}

const batch = (verb: 'add' | 'del', count: number): string =>
  Array.from({ length: count }, (_, i) => `route ${verb} unreachable 10.${i >> 8}.${i & 255}.0/24\n`).join('')

const routes = (verb: 'add' | 'del', count: number): Promise<string> =>
  guest.must(['ip', '-batch', '-'], { input: batch(verb, count) })

const dumpLinks = (fd: number): number[] => {
  const request = new Uint8Array(32)
  const fields = new DataView(request.buffer)
  fields.setUint32(0, 32, true)
  fields.setUint16(4, RTM_GETLINK, true)
  fields.setUint16(6, REQUEST_DUMP, true)
  fields.setUint32(8, 77, true)
  native.netlinkSend(fd, request)
  return drain(fd).types
}

it('tells of every change while it is read', async () => {
  const { fd, portid } = open()
  expect(portid).toBeGreaterThan(0)
  await routes('add', 100)
  const { types, overruns } = drain(fd)
  expect(types).toEqual(new Array(100).fill(RTM_NEWROUTE))
  expect(overruns).toBe(0)
})

it('an overrun is -1, once, and the socket lives on', async () => {
  const { fd } = open(4096)
  await routes('add', 6000)
  const first = drain(fd)
  expect(first.overruns).toBe(1)
  expect(first.types.length).toBeGreaterThan(0)
  expect(first.types.length).toBeLessThan(6000)
  // Resynchronising on the same socket: a dump, and news again.
  const links = dumpLinks(fd)
  expect(links[0]).toBe(RTM_NEWLINK)
  expect(links.at(-1)).toBe(NLMSG_DONE)
  await routes('del', 3)
  expect(drain(fd).types).toHaveLength(3)
})

it('an overrun wakes the watcher, whose thread goes on', async () => {
  const { fd } = open(4096)
  let overruns = 0
  let messages = 0
  const handle = native.watch(fd, () => {
    const got = drain(fd)
    overruns += got.overruns
    messages += got.types.length
  })
  bed.defer(() => native.unwatch(handle))
  // The loop stands still for as long as the burst lasts: no callback can run, as on a main thread that works.
  execFileSync('ip', ['-netns', guest.netns, '-batch', '-'], { input: batch('add', 6000) })
  await expect.poll(() => overruns).toBe(1)
  const before = messages
  await routes('del', 5)
  await expect.poll(() => messages).toBe(before + 5)
  expect(overruns).toBe(1)
})

it('a buffer that is too short is an error, not half a message', async () => {
  const { fd } = open()
  await routes('add', 1)
  expect(() => native.netlinkRecv(fd, new Uint8Array(20))).toThrow(
    expect.objectContaining({ code: 'EMSGSIZE', errno: 90, syscall: 'recvmsg(AF_NETLINK)' }),
  )
})

it('a namespace that is not is ENOENT', () => {
  expect(() => native.netlinkOpen({ netns: `${guest.netns}-no`, groups: [] })).toThrow(
    expect.objectContaining({ code: 'ENOENT', errno: 2 }),
  )
})

it('joins a group later', async () => {
  const socket = native.netlinkOpen({ netns: guest.netns, groups: [] })
  bed.defer(() => native.close(socket.fd))
  await routes('add', 1)
  expect(drain(socket.fd).types).toEqual([])
  native.netlinkJoin(socket.fd, RTNLGRP_IPV4_ROUTE)
  await routes('del', 1)
  expect(drain(socket.fd).types).toHaveLength(1)
})

it('refuses a group that is none', () => {
  const { fd } = open()
  expect(() => native.netlinkJoin(fd, -1)).toThrow(/NETLINK_ADD_MEMBERSHIP/)
})
