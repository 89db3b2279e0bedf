/** Opening and closing of devices: what is refused, what is seen of a device that goes away. */
import { existsSync, readlinkSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { native } from '../../../src/native/binding.ts'
import { ping } from '../kit/ping.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { S, Splice, tap } from './splice.ts'

let bed: Testbed
beforeEach(() => {
  bed = new Testbed()
})
afterEach(() => bed.close())

const failure = (act: () => unknown): unknown => {
  try {
    act()
  } catch (error) {
    return error
  }
  throw new Error('it did not fail')
}

describe('openTap', () => {
  it('says EBUSY and which call for a name that is taken', async () => {
    const a = await bed.guest('a')
    tap(bed, { name: 't0', netns: a.netns })
    const error = failure(() => native.openTap({ name: 't0', netns: a.netns }))
    expect(error).toMatchObject({ code: 'EBUSY', errno: 16, syscall: 'ioctl(TUNSETIFF)' })
  })

  it('does not take a link that is no TAP', async () => {
    const a = await bed.guest('a')
    await a.must(['ip', 'link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1'])
    const error = failure(() => native.openTap({ name: 'd0', netns: a.netns }))
    expect(error).toMatchObject({ code: 'EINVAL', syscall: 'ioctl(TUNSETIFF)' })
  })

  it.each(['openTap', 'openPacket'] as const)('%s says ENOENT for a namespace that is not', (open) => {
    const error = failure(() => native[open]({ name: 't0', netns: bed.netns('nowhere') }))
    expect(error).toMatchObject({ code: 'ENOENT', errno: 2 })
    expect(String(error)).toContain(bed.netns('nowhere'))
  })

  it('leaves the caller in its own namespace, whatever comes of it', async () => {
    const a = await bed.guest('a')
    const home = readlinkSync('/proc/thread-self/ns/net')
    tap(bed, { name: 't0', netns: a.netns })
    failure(() => native.openTap({ name: 't0', netns: a.netns }))
    failure(() => native.openTap({ name: 't0', netns: bed.netns('nowhere') }))
    expect(readlinkSync('/proc/thread-self/ns/net')).toBe(home)
    expect(existsSync('/sys/class/net/t0')).toBe(false)
  })

  it('leaks no descriptor when it fails', async () => {
    const a = await bed.guest('a')
    tap(bed, { name: 't0', netns: a.netns })
    const before = native.eventfd()
    native.close(before)
    for (let i = 0; i < 20; i++) failure(() => native.openTap({ name: 't0', netns: a.netns }))
    const after = native.eventfd()
    native.close(after)
    expect(after).toBe(before)
  })

  it('chooses names by pattern and queues by wish', async () => {
    const a = await bed.guest('a')
    const first = native.openTap({ name: 'mq%d', netns: a.netns, multiQueue: true })
    expect(first.name).toBe('mq0')
    const second = native.openTap({ name: 'mq0', netns: a.netns, multiQueue: true })
    expect(second.ifindex).toBe(first.ifindex)
    native.close(first.fd)
    native.close(second.fd)
  })

  it('keeps a persistent TAP until it is opened without', async () => {
    const a = await bed.guest('a')
    native.close(native.openTap({ name: 'keep', netns: a.netns, persist: true }).fd)
    await a.must(['ip', 'link', 'show', 'keep'])
    native.close(native.openTap({ name: 'keep', netns: a.netns }).fd)
    expect((await a.run(['ip', 'link', 'show', 'keep'])).code).not.toBe(0)
  })
})

it('setCarrier is what the guest sees', async () => {
  const a = await bed.guest('a')
  const { fd } = tap(bed, { name: 't0', netns: a.netns })
  await a.must(['ip', 'link', 'set', 't0', 'up'])
  const carrier = async (): Promise<string> => (await a.must(['cat', '/sys/class/net/t0/carrier'])).trim()
  expect(await carrier()).toBe('1')
  native.setCarrier(fd, false)
  expect(await carrier()).toBe('0')
  native.setCarrier(fd, true)
  expect(await carrier()).toBe('1')
})

describe('a descriptor that goes away under a worker that reads it', () => {
  it('closed by another thread: the worker is told, the process and the name live on', async () => {
    for (let round = 0; round < 5; round++) {
      const a = await bed.guest(`a${round}`)
      const b = await bed.guest(`b${round}`)
      const one = native.openTap({ name: 't0', netns: a.netns })
      const two = tap(bed, { name: 't0', netns: b.netns })
      await a.address('t0', '10.7.0.1/24')
      await b.address('t0', '10.7.0.2/24')
      const splice = await Splice.start(bed, { ...one, kind: 0 }, two)
      const flood = b.start(['ping', '-n', '-f', '10.7.0.1'])
      await expect.poll(() => splice.count(S.RX), { interval: 5, timeout: 10_000 }).toBeGreaterThan(200)
      native.close(one.fd)
      // What the other side still sends is refused, frame by frame; or a read, for which the worker had its event already, and then it ends by itself.
      const told = (): number => splice.count(S.ERRNO) || splice.count(S.RX_ERRNO)
      await expect.poll(told, { interval: 5, timeout: 10_000 }).toBe(9)
      expect(await splice.stop()).toBe(0)
      await flood.stop('SIGKILL')
      native.close(native.openTap({ name: 't0', netns: a.netns }).fd)
    }
  })

  const pair = async (): Promise<{ a: Guest; b: Guest; splice: Splice }> => {
    const { a, b } = await bed.guests('a', 'b')
    const one = tap(bed, { name: 't0', netns: a.netns })
    const two = tap(bed, { name: 't0', netns: b.netns })
    await a.address('t0', '10.7.0.1/24')
    await b.address('t0', '10.7.0.2/24')
    const splice = await Splice.start(bed, one, two)
    expect((await ping(b, '10.7.0.1')).loss).toBe(0)
    return { a, b, splice }
  }

  it('its link deleted by the guest: EBADFD, no frames, no crash', async () => {
    const { a, splice } = await pair()
    await a.must(['ip', 'link', 'del', 't0'])
    await expect.poll(() => splice.count(S.RX_ERRNO), { timeout: 10_000 }).toBe(77)
    expect(await splice.ended).toBe(0)
  })

  it('its link down: EIO for what is written, and traffic again after up', async () => {
    const { a, b, splice } = await pair()
    await a.must(['ip', 'link', 'set', 't0', 'down'])
    await ping(b, '10.7.0.1', { count: 2, wait: 0.1 })
    await expect.poll(() => [splice.count(S.ERRNO), splice.count(S.RX_ERRNO)]).toEqual([5, 0])
    await a.must(['ip', 'link', 'set', 't0', 'up'])
    expect((await ping(b, '10.7.0.1')).received).toBeGreaterThan(0)
  })

  it('the name of its namespace deleted: the descriptor keeps the namespace itself alive', async () => {
    const { a, b, splice } = await pair()
    await b.must(['ip', 'netns', 'del', a.netns])
    expect((await ping(b, '10.7.0.1')).loss).toBe(0)
    expect(splice.count(S.RX_ERRNO)).toBe(0)
  })
})
