import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isLinkMessage, type Link, RTM_DELLINK, RTM_NEWLINK } from '../../../src/netlink/link.ts'
import { type LinkEvent, LinkMonitor } from '../../../src/netlink/link-monitor.ts'
import { createSocket, done, type LinkFacts, linkNews, linkPart, linkPayload, message } from './fake-kernel.ts'

const createMonitor = async (...present: LinkFacts[]) => {
  const { kernel, socket } = createSocket()
  const errors: Error[] = []
  const monitor = new LinkMonitor(socket, (error) => errors.push(error), kernel)
  let resync: Promise<void> = Promise.resolve()
  socket.listen({
    message: (m) => {
      if (isLinkMessage(m)) monitor.message(m)
    },
    overrun: () => {
      resync = monitor.overrun()
    },
    failed() {},
  })
  const started = monitor.start()
  /** Answers the dump that is asked for. */
  const answer = (...links: LinkFacts[]): void =>
    kernel.deliver(...links.map((facts) => linkPart(kernel.last, facts)), done(kernel.last))
  answer(...present)
  await started
  const events: LinkEvent[] = []
  monitor.on((event) => events.push(event))
  const text = (): string[] =>
    events.splice(0).map((e) => `${e.type} ${e.link.name} ${e.link.mtu}${e.link.up ? ' up' : ''}`)
  return { kernel, socket, monitor, errors, answer, text, resync: () => resync }
}

const names = (links: Iterable<Link>): string[] => [...links].map((link) => link.name).sort()

describe('news', () => {
  test('only differences are events', async () => {
    const { kernel, text } = await createMonitor({ index: 1, name: 'a' })
    kernel.deliver(linkNews({ index: 1, name: 'a' }))
    kernel.deliver(linkNews({ index: 1, name: 'a', mtu: 1400 }))
    kernel.deliver(linkNews({ index: 1, name: 'a', mtu: 1400, up: true }))
    kernel.deliver(linkNews({ index: 2, name: 'b' }))
    kernel.deliver(linkNews({ index: 1, name: 'a', mtu: 1400, up: true }, RTM_DELLINK))
    kernel.deliver(linkNews({ index: 1, name: 'a' }, RTM_DELLINK))
    expect(text()).toEqual(['changed a 1400', 'changed a 1400 up', 'added b 1500', 'removed a 1400 up'])
  })

  test('bridges tell of their ports in the same group: not meant', async () => {
    const { kernel, text, monitor } = await createMonitor({ index: 1, name: 'a' })
    const bridge = linkPayload({ index: 1, name: 'a' })
    bridge[0] = 7
    kernel.deliver(message(RTM_DELLINK, bridge))
    expect([text(), names(monitor.links())]).toEqual([[], ['a']])
  })

  test('what cannot be read is counted and skipped', async () => {
    const { kernel, text, monitor } = await createMonitor()
    kernel.deliver(message(RTM_NEWLINK, Buffer.alloc(10)))
    kernel.deliver(message(RTM_NEWLINK, linkPayload({ index: 4, name: 'x' }).subarray(0, 16)))
    expect(monitor.counters.malformed).toBe(2)
    kernel.deliver(linkNews({ index: 5, name: 'y' }))
    expect(text()).toEqual(['added y 1500'])
  })

  test('attributes that the codec does not expect do not matter', async () => {
    const { kernel, text } = await createMonitor()
    // IFLA_CARRIER with 3 bytes, IFLA_STATS64 with 8, and one that no kernel has yet.
    const odd = Buffer.from('0700210001020300' + '0c0017000000000000000000' + '0800ff0301020304', 'hex')
    kernel.deliver(message(RTM_NEWLINK, Buffer.concat([linkPayload({ index: 5, name: 'yy' }), Buffer.alloc(2), odd])))
    expect(text()).toEqual(['added yy 1500'])
  })

  test('a callback that throws is reported, the others are called', async () => {
    const { kernel, monitor, errors, text } = await createMonitor()
    monitor.on(() => {
      throw new Error('mine')
    })
    let later = 0
    monitor.on(() => later++)
    kernel.deliver(linkNews({ index: 5, name: 'y' }))
    expect([later, text().length, errors.map((e) => e.message)]).toEqual([1, 1, ['mine']])
    expect(monitor.counters).toMatchObject({ listenerErrors: 1, malformed: 0 })
  })
})

test('a subscription by name follows the name, one by ifindex the link', async () => {
  const { kernel, monitor } = await createMonitor({ index: 1, name: 'a', mtu: 1000 })
  const byName: (string | undefined)[] = []
  const byIndex: (string | undefined)[] = []
  const end = monitor.subscribe('a', (link) => byName.push(link && `${link.ifindex}/${link.mtu}`))
  monitor.subscribe(1, (link) => byIndex.push(link?.name))
  kernel.deliver(linkNews({ index: 1, name: 'b', mtu: 1000 }))
  kernel.deliver(linkNews({ index: 2, name: 'a', mtu: 1002 }))
  kernel.deliver(linkNews({ index: 1, name: 'b' }, RTM_DELLINK))
  end()
  kernel.deliver(linkNews({ index: 2, name: 'a', mtu: 1003 }))
  expect(byName).toEqual(['1/1000', undefined, '2/1002'])
  expect(byIndex).toEqual(['a', 'b', undefined])
})

describe('overrun', () => {
  test('the dump is compared: what is new, different, gone', async () => {
    const { kernel, answer, text, resync, monitor } = await createMonitor(
      { index: 1, name: 'same' },
      { index: 2, name: 'other' },
      { index: 3, name: 'gone' },
    )
    kernel.deliver(-1)
    answer({ index: 1, name: 'same' }, { index: 2, name: 'other', mtu: 9000 }, { index: 4, name: 'new' })
    await resync()
    expect(text()).toEqual(['changed other 9000', 'added new 1500', 'removed gone 1500'])
    expect(monitor.counters.resyncs).toBe(1)
  })

  test('news during the dump counts: no ghost, nobody removed who has just come', async () => {
    const { kernel, text, resync, monitor } = await createMonitor({ index: 1, name: 'a' })
    kernel.deliver(-1)
    const { last } = kernel
    kernel.deliver(linkPart(last, { index: 1, name: 'a' }), linkPart(last, { index: 2, name: 'b' }))
    kernel.deliver(linkNews({ index: 2, name: 'b' }, RTM_DELLINK), linkNews({ index: 3, name: 'c' }))
    kernel.deliver(done(last))
    await resync()
    expect(text()).toEqual(['added b 1500', 'removed b 1500', 'added c 1500'])
    expect(names(monitor.links())).toEqual(['a', 'c'])
  })

  test('another overrun during the dump makes another dump', async () => {
    const { kernel, answer, resync, monitor } = await createMonitor({ index: 1, name: 'a' })
    kernel.deliver(-1)
    const first = resync()
    kernel.deliver(linkPart(kernel.last, { index: 1, name: 'a' }), -1, done(kernel.last))
    await new Promise((resolve) => setImmediate(resolve))
    answer()
    await first
    expect(names(monitor.links())).toEqual([])
  })

  test('a dump that fails is reported and made again later', async () => {
    const { kernel, answer, resync, errors, monitor } = await createMonitor({ index: 1, name: 'a' })
    kernel.deliver(-1)
    kernel.expire()
    await resync()
    expect(errors.map((error) => (error as Error & { code: string }).code)).toEqual(['ETIMEDOUT'])
    expect(names(monitor.links())).toEqual(['a'])
    kernel.expire()
    answer()
    await new Promise((resolve) => setImmediate(resolve))
    expect(names(monitor.links())).toEqual([])
  })
})

test('any mix of changes and losses ends in the state of the kernel', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          {
            weight: 5,
            arbitrary: fc.record({
              index: fc.integer({ min: 1, max: 6 }),
              mtu: fc.integer({ min: 1000, max: 1003 }),
              lost: fc.boolean(),
            }),
          },
          {
            weight: 3,
            arbitrary: fc.record({
              index: fc.integer({ min: 1, max: 6 }),
              gone: fc.constant(true),
              lost: fc.boolean(),
            }),
          },
          { weight: 1, arbitrary: fc.constant('resync' as const) },
        ),
        { maxLength: 40 },
      ),
      async (steps) => {
        const { kernel, answer, resync, monitor } = await createMonitor()
        const truth = new Map<number, LinkFacts>()
        const mirror = new Map<number, number>()
        monitor.on(({ type, link }) => {
          if (type === 'removed') mirror.delete(link.ifindex)
          else mirror.set(link.ifindex, link.mtu)
        })
        const heal = async (): Promise<void> => {
          kernel.deliver(-1)
          answer(...truth.values())
          await resync()
        }
        for (const step of steps) {
          if (step === 'resync') await heal()
          else if ('gone' in step) {
            const was = truth.get(step.index)
            truth.delete(step.index)
            if (was && !step.lost) kernel.deliver(linkNews(was, RTM_DELLINK))
          } else {
            const facts = { index: step.index, name: `n${step.index}`, mtu: step.mtu }
            truth.set(step.index, facts)
            if (!step.lost) kernel.deliver(linkNews(facts))
          }
        }
        await heal()
        expect([...mirror].sort()).toEqual([...truth].map(([index, { mtu }]) => [index, mtu]).sort())
        expect([...monitor.links()].map((link) => link.ifindex).sort()).toEqual([...truth.keys()].sort())
      },
    ),
    { numRuns: 150 },
  )
})
