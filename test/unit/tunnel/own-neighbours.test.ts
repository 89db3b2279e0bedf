import { describe, expect, it } from 'vitest'
import { NUD_DELAY, NUD_REACHABLE, NUD_STALE } from '../../../src/netlink/neighbour.ts'
import { ARP_REPLY, ARP_REQUEST } from '../../../src/packet/arp.ts'
import { ND_ADVERT, ND_SOLICIT } from '../../../src/packet/icmpv6.ts'
import { hex, ip, mac } from './fakes.ts'
import { A, arp, B, create, nd, OURS, PEER, spoken } from './nud-kit.ts'

const ALL = new Uint8Array(6).fill(0xff)

describe('a request', () => {
  it('is an ARP request for all, and a probe one for the neighbour alone', () => {
    const { neighbours, frames, scheduler, hear } = create()
    neighbours.resolve(-7, PEER[4])
    expect(frames().map(hex)).toEqual([
      `ffffffffffff0200000000010806${'0001080006040001'}020000000001c0a80001${'000000000000'}c0a80002`,
    ])
    hear(spoken(4, 'answer', A))
    neighbours.keepAlive(-7, PEER[4], true)
    scheduler.advance(35_000)
    expect(frames().map(hex)).toEqual([
      `02000000000a0200000000010806${'0001080006040001'}020000000001c0a80001${'000000000000'}c0a80002`,
    ])
  })

  it('is a neighbour solicitation for the solicited-node group, and a probe one for the neighbour alone, both with hop limit 255 and our address', () => {
    const { neighbours, frames, scheduler, hear } = create()
    neighbours.resolve(-7, PEER[6])
    const ours = 'fd000000000000000000000000000001'
    const peer = 'fd000000000000000000000000000002'
    const option = '0101020000000001'
    const [multicast] = frames().map(hex)
    expect(multicast).toMatch(
      new RegExp(
        `^3333ff00000202000000000186dd6000000000203aff${ours}ff0200000000000000000001ff0000028700.{4}00000000${peer}${option}$`,
      ),
    )
    hear(spoken(6, 'answer', A))
    neighbours.keepAlive(-7, PEER[6], true)
    scheduler.advance(35_000)
    const [unicast] = frames().map(hex)
    expect(unicast).toMatch(
      new RegExp(`^02000000000a02000000000186dd6000000000203aff${ours}${peer}8700.{4}00000000${peer}${option}$`),
    )
  })

  it('is sent three times, a second apart; the failure stands for a second and is then forgotten', () => {
    const { neighbours, frames, scheduler, told } = create()
    for (let i = 0; i < 50; i++) neighbours.resolve(-7, PEER[4])
    expect(neighbours.lookup(-7, PEER[4]).type).toBe('pending')
    scheduler.advance(2999)
    expect(frames().length).toBe(3)
    scheduler.advance(1)
    for (let i = 0; i < 50; i++) neighbours.resolve(-7, PEER[4])
    expect([neighbours.lookup(-7, PEER[4]).type, frames().length]).toEqual(['failed', 0])
    scheduler.advance(1000)
    expect([neighbours.lookup(-7, PEER[4]).type, neighbours.size]).toEqual(['none', 0])
    expect(told).toEqual(['pending', 'failed', 'none'])
  })

  it('is made again with growing pauses for one that is kept alive, which stays failed until it answers', () => {
    const { neighbours, frames, scheduler, hear } = create()
    neighbours.keepAlive(-7, PEER[4], true)
    const pauses: number[] = []
    for (let i = 0; i < 6; i++) {
      scheduler.advance(3000)
      frames()
      const from = scheduler.elapsed()
      let sent = 0
      while (sent === 0) {
        expect(neighbours.lookup(-7, PEER[4]).type).toBe('failed')
        scheduler.advance(500)
        sent = frames().length
      }
      pauses.push(scheduler.elapsed() - from)
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 8000, 8000])
    hear(spoken(4, 'answer', A))
    expect(neighbours.lookup(-7, PEER[4])).toEqual({ type: 'found', lladdr: A })
    expect(neighbours.counters.failed).toBe(6)
  })

  it('waits when there are more than 200 a second', () => {
    const { neighbours, frames, scheduler } = create()
    for (let i = 0; i < 500; i++) neighbours.resolve(-7, ip(`10.0.${i >> 8}.${i & 255}`))
    expect(frames().length).toBe(200)
    scheduler.advance(900)
    expect(frames().length).toBeGreaterThan(175)
    expect(neighbours.counters.delayed).toBeGreaterThan(0)
    scheduler.advance(5000)
    expect(new Set(frames().map((frame) => hex(frame.subarray(38, 42)))).size).toBe(500)
  })

  it('is not sent without an address of that version; the neighbour fails', () => {
    const { neighbours, frames, scheduler } = create()
    neighbours.resolve(-8, PEER[4])
    expect(neighbours.lookup(-8, PEER[4]).type).toBe('pending')
    scheduler.advance(3000)
    expect([neighbours.lookup(-8, PEER[4]).type, frames().length, neighbours.counters.mute]).toEqual(['failed', 0, 3])
  })
})

describe('the table', () => {
  it('gives way to new ones by those that nobody needs, and takes no more when all are needed', () => {
    const { neighbours, scheduler } = create({ limit: 3 })
    neighbours.resolve(-7, ip('192.168.0.10'))
    scheduler.advance(3000)
    neighbours.keepAlive(-7, ip('192.168.0.11'), true)
    neighbours.keepAlive(-7, ip('192.168.0.12'), true)
    neighbours.keepAlive(-7, ip('192.168.0.13'), true)
    expect(neighbours.lookup(-7, ip('192.168.0.10')).type).toBe('none')
    neighbours.resolve(-7, ip('192.168.0.14'))
    expect([neighbours.size, neighbours.counters.full]).toEqual([3, 1])
    expect(neighbours.lookup(-7, ip('192.168.0.14')).type).toBe('none')
  })

  it('is forgotten at the end, with all timers', () => {
    const { neighbours, scheduler } = create()
    neighbours.keepAlive(-7, PEER[4], true)
    neighbours.close()
    neighbours.resolve(-7, PEER[6])
    expect([neighbours.size, scheduler.timers]).toEqual([0, 0])
  })

  it('tells when more is known than before, and when an address changes', () => {
    const { neighbours, told, hear } = create()
    let known = 0
    neighbours.onKnown(() => known++)
    neighbours.resolve(-7, PEER[4])
    hear(spoken(4, 'answer', A))
    hear(spoken(4, 'told', A))
    hear(spoken(4, 'told', B))
    expect([known, told]).toEqual([1, ['pending', 'found', 'found']])
    expect(neighbours.knows(-7, PEER[4])).toBe(true)
    expect(neighbours.knows(-7, PEER[6])).toBe(false)
  })
})

describe('what comes unasked', () => {
  it.each([4, 6] as const)('makes nobody known, and is counted (IPv%i)', (version) => {
    const { neighbours, stack, hear, told } = create()
    hear(spoken(version, 'answer', A))
    hear(spoken(version, 'told', A))
    hear(spoken(version, 'asks', A))
    expect([neighbours.size, told]).toEqual([0, []])
    // A gratuitous ARP is a request.
    expect(stack.counters.unsolicited).toBe(version === 4 ? 1 : 2)
  })

  it('does not confirm: a second answer to one request changes nothing', () => {
    const { neighbours, stack, hear, scheduler } = create()
    neighbours.resolve(-7, PEER[4])
    hear(spoken(4, 'answer', A))
    scheduler.advance(29_000)
    hear(spoken(4, 'answer', A))
    scheduler.advance(1000)
    expect([...neighbours.entries()][0]!.state).toBe(NUD_STALE)
    expect(stack.counters.unsolicited).toBe(1)
  })

  it('does not keep the answer to an open request from being one', () => {
    const { neighbours, stack, hear } = create()
    neighbours.keepAlive(-7, PEER[4], true)
    hear(spoken(4, 'asks', A))
    expect([...neighbours.entries()][0]!.state).toBe(NUD_DELAY)
    hear(spoken(4, 'answer', A))
    expect([...neighbours.entries()][0]!.state).toBe(NUD_REACHABLE)
    expect(stack.counters.unsolicited).toBe(0)
  })

  it('is no answer when it goes to somebody else', () => {
    const { neighbours, hear } = create()
    neighbours.resolve(-7, PEER[4])
    hear(arp(ARP_REPLY, { src: A, dst: mac(9) }, A, PEER[4], ip('192.168.0.9')))
    // But it says where the neighbour is.
    expect([...neighbours.entries()][0]).toMatchObject({ state: NUD_STALE, lladdr: A })
  })
})

describe('a request for our address', () => {
  it('by ARP is answered to who asks', () => {
    const { hear, frames, stack } = create()
    hear(spoken(4, 'asks', A))
    expect(frames().map(hex)).toEqual([
      `02000000000a0200000000010806${'0001080006040002'}020000000001c0a8000102000000000ac0a80002`,
    ])
    // A probe of who has no address yet (RFC 5227).
    hear(arp(ARP_REQUEST, { src: A, dst: ALL }, A, ip('0.0.0.0'), OURS[4]))
    expect(hex(frames()[0]!).slice(28)).toBe('0001080006040002020000000001c0a8000102000000000a00000000')
    expect(stack.counters.answered).toBe(2)
  })

  it('by a solicitation is answered, solicited and overriding; who has no address yet gets it by all nodes', () => {
    const { hear, sent } = create()
    hear(spoken(6, 'asks', A))
    expect(sent()).toMatchObject([
      {
        asks: false,
        neighbour: OURS[6],
        lladdr: OURS.mac,
        target: PEER[6],
        ethDst: A,
        solicited: true,
        override: true,
      },
    ])
    const group = ip('ff02::1:ff00:1')
    const eth = { src: A, dst: Uint8Array.of(0x33, 0x33, 0xff, 0, 0, 1) }
    hear(nd({ eth, src: ip('::'), dst: group, target: OURS[6], type: ND_SOLICIT }))
    expect(sent()).toMatchObject([{ neighbour: OURS[6], target: ip('ff02::1'), solicited: false, override: true }])
  })

  it('is not answered for others, to others, or by ourselves', () => {
    const { hear, frames, stack } = create()
    hear(arp(ARP_REQUEST, { src: A, dst: ALL }, A, PEER[4], ip('192.168.0.9')))
    hear(arp(ARP_REQUEST, { src: A, dst: mac(9) }, A, PEER[4], OURS[4]))
    hear(arp(ARP_REQUEST, { src: OURS.mac, dst: ALL }, OURS.mac, OURS[4], OURS[4]))
    expect(frames()).toEqual([])
    expect(stack.counters).toMatchObject({ answered: 0, conflicts: 0 })
  })

  it('is answered at most 1,000 times a second', () => {
    const { hear, frames, stack, scheduler } = create()
    for (let i = 0; i < 300; i++) hear(spoken(4, 'asks', A))
    expect([frames().length, stack.counters.limited]).toEqual([200, 100])
    scheduler.advance(50)
    for (let i = 0; i < 100; i++) hear(spoken(4, 'asks', A))
    expect(frames().length).toBe(50)
  })

  it('that claims the address itself is a conflict, and is answered', () => {
    const { hear, frames, stack, neighbours } = create()
    hear(arp(ARP_REQUEST, { src: A, dst: ALL }, A, OURS[4], OURS[4]))
    expect([frames().length, stack.counters.conflicts, neighbours.size]).toEqual([1, 1, 0])
  })
})

describe('what is not sound', () => {
  const sound = {
    eth: { src: A, dst: OURS.mac },
    src: PEER[6],
    dst: OURS[6],
    target: PEER[6],
    type: ND_ADVERT,
    flags: 0x60000000,
    targetMac: A,
  }
  const cases: [string, Uint8Array][] = [
    ['an advertisement that was routed', nd({ ...sound, hops: 254 })],
    ['one for a group as if in answer', nd({ ...sound, dst: ip('ff02::1') })],
    ['one that speaks of a group', nd({ ...sound, target: ip('ff02::2') })],
    [
      'a solicitation from nobody with an address',
      nd({ ...sound, type: ND_SOLICIT, src: ip('::'), target: OURS[6], sourceMac: A, dst: ip('ff02::1:ff00:1') }),
    ],
    [
      'a solicitation from nobody to one',
      nd({ eth: sound.eth, type: ND_SOLICIT, src: ip('::'), target: OURS[6], dst: OURS[6] }),
    ],
    [
      'a wrong checksum',
      (() => {
        const frame = nd(sound)
        frame[60]! ^= 1
        return frame
      })(),
    ],
    [
      'an option of length 0',
      (() => {
        const frame = nd(sound)
        frame[79] = 0
        return frame
      })(),
    ],
    ['one that is cut short', nd(sound).slice(0, 70)],
    [
      'ARP of another kind of network',
      (() => {
        const frame = spoken(4, 'answer', A)
        frame[15] = 6
        return frame
      })(),
    ],
    [
      'an ARP operation that there is not',
      (() => {
        const frame = spoken(4, 'answer', A)
        frame[21] = 9
        return frame
      })(),
    ],
    ['half an ARP', spoken(4, 'answer', A).slice(0, 40)],
    ['something else', new Uint8Array(60)],
  ]
  it.each(cases)('%s changes nothing and is counted', (_, frame) => {
    const { neighbours, hear, stack, frames } = create()
    neighbours.resolve(-7, PEER[6])
    neighbours.resolve(-7, PEER[4])
    frames()
    hear(frame)
    expect(stack.counters.invalid).toBe(1)
    expect([...neighbours.entries()].map(({ state }) => state)).toEqual([1, 1])
    expect(frames()).toEqual([])
  })

  it('a checksum that is known to be right is not looked at', () => {
    const { neighbours, stack, port } = create()
    neighbours.resolve(-7, PEER[6])
    const frame = nd(sound)
    frame[56]! ^= 1
    stack.receive(port, frame, true)
    expect(neighbours.lookup(-7, PEER[6])).toEqual({ type: 'found', lladdr: A })
  })

  it('a group as the address of one is no address', () => {
    const { neighbours, hear } = create()
    neighbours.resolve(-7, PEER[4])
    hear(arp(ARP_REPLY, { src: A, dst: OURS.mac }, ALL, PEER[4], OURS[4]))
    hear(arp(ARP_REPLY, { src: A, dst: OURS.mac }, new Uint8Array(6), PEER[4], OURS[4]))
    expect(neighbours.lookup(-7, PEER[4]).type).toBe('pending')
  })
})

it('announces all addresses of a port', () => {
  const { stack, port, sent } = create()
  stack.announce(port)
  expect(sent()).toMatchObject([
    { asks: true, neighbour: OURS[4], target: OURS[4], lladdr: OURS.mac, ethDst: ALL },
    { asks: false, neighbour: OURS[6], target: ip('ff02::1'), lladdr: OURS.mac, solicited: false, override: true },
  ])
})
