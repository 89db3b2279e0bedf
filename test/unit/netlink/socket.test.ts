import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dumpLinks, getLink, RTM_DELLINK, RTM_NEWLINK, setLink } from '../../../src/netlink/link.ts'
import { ack, createSocket, done, linkNews, linkPart, linkPayload, message, PORTID } from './fake-kernel.ts'

describe('requests', () => {
  test('one at a time, each with its own answer', async () => {
    const { kernel, socket } = createSocket()
    const first = setLink(socket, 3, { up: true })
    const second = setLink(socket, 4, { mtu: 0 })
    expect(kernel.requests).toHaveLength(1)
    expect(kernel.last).toMatchObject({ type: RTM_NEWLINK, flags: 5 })
    kernel.deliver(ack(kernel.last))
    await first
    expect(kernel.requests).toHaveLength(2)
    kernel.deliver(ack(kernel.last, 22, 'mtu less than device minimum'))
    await expect(second).rejects.toMatchObject({
      code: 'EINVAL',
      errno: 22,
      syscall: 'RTM_NEWLINK',
      detail: 'mtu less than device minimum',
      message: 'RTM_NEWLINK: mtu less than device minimum (EINVAL)',
    })
    expect(kernel.timers.size).toBe(0)
  })

  test('values of zero are written', () => {
    const { kernel, socket } = createSocket()
    setLink(socket, 3, { up: false, mtu: 0 }).catch(() => {})
    // ifinfomsg: flags 0, change 1; then IFLA_MTU.
    expect(kernel.last.data.toString('hex')).toBe('0000000003000000000000000100000008000400' + '00000000')
    socket.close()
  })

  test('an answer comes before its ack; news that the request causes is no answer', async () => {
    const { kernel, socket } = createSocket()
    const heard: number[] = []
    socket.listen({ message: (m) => heard.push(m.type), overrun() {}, failed() {} })
    const change = setLink(socket, 3, { up: true })
    const own = { seq: kernel.last.seq, port: PORTID }
    kernel.deliver(message(RTM_NEWLINK, linkPayload({ index: 3, name: 'a', up: true }), own))
    kernel.deliver(ack(kernel.last))
    await change
    expect(heard).toEqual([RTM_NEWLINK])
    const link = getLink(socket, 'a')
    kernel.deliver(linkNews({ index: 9, name: 'z' }))
    kernel.deliver(message(RTM_NEWLINK, linkPayload({ index: 3, name: 'a' }), { seq: kernel.last.seq, port: PORTID }))
    kernel.deliver(ack(kernel.last))
    expect(await link).toMatchObject({ ifindex: 3, name: 'a' })
    expect(heard).toHaveLength(2)
  })

  test('no answer: a timeout, and what comes late is counted', async () => {
    const { kernel, socket } = createSocket()
    const late = setLink(socket, 3, { up: true })
    const { last } = kernel
    expect([...kernel.timers.values()].map(({ ms }) => ms)).toEqual([1000])
    kernel.expire()
    await expect(late).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      message: 'RTM_NEWLINK: no answer within 1000 ms (ETIMEDOUT)',
    })
    const next = setLink(socket, 3, { up: true })
    kernel.deliver(ack(last, 22))
    expect(socket.counters.stale).toBe(1)
    kernel.deliver(ack(kernel.last))
    await next
  })

  test('a dump over several datagrams, with news between its parts', async () => {
    const { kernel, socket } = createSocket()
    const news: number[] = []
    socket.listen({ message: (m) => news.push(m.type), overrun() {}, failed() {} })
    const dump = dumpLinks(socket)
    const { last } = kernel
    kernel.deliver(Buffer.concat([linkPart(last, { index: 1, name: 'lo' }), linkPart(last, { index: 2, name: 'a' })]))
    kernel.deliver(linkNews({ index: 8, name: 'n' }, RTM_DELLINK))
    kernel.deliver(linkPart(last, { index: 3, name: 'b' }), done(last))
    expect([...(await dump).keys()]).toEqual([1, 2, 3])
    expect(news).toEqual([RTM_DELLINK])
  })

  test.each(['part', 'end'])('a dump that was interrupted (flag in the %s) is made again', async (where) => {
    const { kernel, socket } = createSocket()
    const dump = dumpLinks(socket)
    const { last } = kernel
    kernel.deliver(
      linkPart(last, { index: 1, name: 'old' }, where === 'part' ? 0x10 : 0),
      done(last, where === 'end' ? 0x10 : 0),
    )
    expect(kernel.requests).toHaveLength(2)
    expect(kernel.last.seq).not.toBe(last.seq)
    kernel.deliver(linkPart(last, { index: 7, name: 'stale' }))
    kernel.deliver(linkPart(kernel.last, { index: 2, name: 'new' }), done(kernel.last))
    expect([...(await dump).values()].map((link) => link.name)).toEqual(['new'])
    expect(socket.counters).toMatchObject({ interruptedDumps: 1, stale: 1 })
  })

  test('a dump that is always interrupted ends', async () => {
    const { kernel, socket } = createSocket()
    const dump = dumpLinks(socket)
    for (let i = 0; i < 10; i++) kernel.deliver(done(kernel.last, 0x10))
    await expect(dump).rejects.toMatchObject({ code: 'EINTR' })
    expect(kernel.requests).toHaveLength(10)
  })

  test('close rejects what is under way and what waits', async () => {
    const { kernel, socket } = createSocket()
    const open = [setLink(socket, 1, {}), dumpLinks(socket)]
    socket.close()
    socket.close()
    for (const request of open) await expect(request).rejects.toMatchObject({ code: 'ECLOSED' })
    await expect(setLink(socket, 1, {})).rejects.toMatchObject({ code: 'ECLOSED' })
    expect([kernel.watched, kernel.closed, kernel.timers.size]).toEqual([false, true, 0])
  })
})

describe('faults', () => {
  test('an overrun is reported and the request goes on', async () => {
    const { kernel, socket } = createSocket()
    let overruns = 0
    socket.listen({ message() {}, overrun: () => overruns++, failed() {} })
    const change = setLink(socket, 3, {})
    kernel.deliver(-1, ack(kernel.last))
    await change
    expect(overruns).toBe(1)
    const tooLong = Object.assign(new Error('too long'), { code: 'EMSGSIZE', errno: 90, syscall: 'recvmsg' })
    kernel.deliver(tooLong)
    expect([overruns, socket.closed]).toEqual([2, false])
  })

  test('a dead descriptor is closed, not spun upon', async () => {
    const { kernel, socket } = createSocket()
    const failures: Error[] = []
    socket.listen({ message() {}, overrun() {}, failed: (error) => failures.push(error) })
    const change = setLink(socket, 3, {})
    const dead = Object.assign(new Error('recvmsg: EBADF'), { code: 'EBADF', errno: 9, syscall: 'recvmsg' })
    kernel.deliver(dead)
    await expect(change).rejects.toBe(dead)
    expect(failures).toEqual([dead])
    expect([kernel.watched, kernel.closed]).toEqual([false, true])
  })

  test('a listener that throws is counted; the next message is delivered', () => {
    const { kernel, socket } = createSocket()
    let heard = 0
    socket.listen({
      message() {
        if (heard++ === 0) throw new Error('no')
      },
      overrun() {},
      failed() {},
    })
    kernel.deliver(Buffer.concat([linkNews({ index: 1, name: 'a' }), linkNews({ index: 2, name: 'b' })]))
    expect([heard, socket.counters.malformed]).toEqual([2, 1])
  })

  test('a cut-off ack fails the request', async () => {
    const { kernel, socket } = createSocket()
    const change = setLink(socket, 3, {})
    kernel.deliver(message(2, Buffer.alloc(2), { seq: kernel.last.seq, port: PORTID }))
    await expect(change).rejects.toMatchObject({ code: 'EBADMSG' })
  })

  test('whatever is received, nothing is thrown into the watcher', () => {
    const { kernel, socket } = createSocket()
    socket.listen({ message() {}, overrun() {}, failed() {} })
    dumpLinks(socket).catch(() => {})
    const good = linkPart(kernel.last, { index: 3, name: 'name', up: true })
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => {
            const broken = Buffer.from(good)
            broken[at] = value
            return broken
          }),
          fc.nat(good.length).map((n) => good.subarray(0, n)),
        ),
        (bytes) => {
          kernel.deliver(Buffer.from(bytes))
        },
      ),
      { numRuns: 2000 },
    )
    expect(socket.counters.malformed).toBeGreaterThan(0)
    expect(socket.closed).toBe(false)
    socket.close()
  })
})
