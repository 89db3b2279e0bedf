import { expect, test } from 'vitest'
import { IFA_F_DADFAILED, IFA_F_OPTIMISTIC, IFA_F_TENTATIVE, parseCidr } from '../../../src/netlink/address.ts'
import type { NetlinkMessage } from '../../../src/netlink/codec.ts'
import type { NamespaceMirror } from '../../../src/netlink/namespace.ts'
import { type GivenAddress, usableAddresses } from '../../../src/netlink/usable-addresses.ts'
import { createSocket, done, message, PORTID } from './fake-kernel.ts'
import { attribute, u32 } from './messages.ts'

const PERMANENT = 0x80
const LINK = 7
const ONE = 'fd00:40::1/64'
const TWO = 'fd00:41::1/64'

/** struct ifaddrmsg and attributes. */
const payload = (cidr: string, flags: number, ifindex = LINK): Buffer => {
  const { version, bytes, prefixLength } = parseCidr(cidr)
  const header = Buffer.from([version === 4 ? 2 : 10, prefixLength, flags & 255, 0])
  return Buffer.concat([header, u32(ifindex), attribute(1, bytes), attribute(8, u32(PERMANENT | flags))])
}

const start = (cidrs: readonly string[]) => {
  const { kernel, socket } = createSocket()
  let mirror: NamespaceMirror | undefined
  socket.listen({
    message: (news: NetlinkMessage) => mirror?.message(news),
    overrun: () => mirror?.overrun(),
    failed: (error) => {
      throw error
    },
  })
  const namespace = {
    socket,
    join: (groups: readonly number[]) => socket.join(groups),
    attach: (one: NamespaceMirror) => {
      mirror = one
      return () => {
        mirror = undefined
      }
    },
  }
  const given: GivenAddress[] = cidrs.map((cidr) => ({ ifindex: LINK, cidr }))
  const state = { done: false }
  const result = usableAddresses(namespace, given, 5000, kernel)
  result.then(
    () => {
      state.done = true
    },
    () => {},
  )
  const dump = (...addresses: (readonly [cidr: string, flags: number])[]): void => {
    const request = kernel.last
    const header = { flags: 2, seq: request.seq, port: PORTID }
    kernel.deliver(...addresses.map(([cidr, flags]) => message(20, payload(cidr, flags), header)), done(request))
  }
  const news = (cidr: string, flags: number, { type = 20, ifindex = LINK } = {}): void =>
    kernel.deliver(message(type, payload(cidr, flags, ifindex)))
  const settled = async (): Promise<boolean> => {
    await new Promise((resolve) => setImmediate(resolve))
    return state.done
  }
  return { kernel, result, dump, news, settled, followed: () => mirror !== undefined }
}

test('of IPv4 addresses the kernel is not asked', async () => {
  const { kernel, result, followed } = start(['192.0.2.1/24'])
  expect(await result).toEqual([])
  expect(kernel.requests).toEqual([])
  expect(followed()).toBe(false)
})

test('they are waited for until the last is not tentative, on its own link', async () => {
  const { kernel, result, dump, news, settled, followed } = start([ONE, TWO, '192.0.2.1/24'])
  expect(kernel.joined).toEqual([9])
  dump([ONE, IFA_F_TENTATIVE], [TWO, IFA_F_TENTATIVE])
  expect(await settled()).toBe(false)
  news(ONE, 0)
  news(TWO, 0, { ifindex: LINK + 1 })
  expect(await settled()).toBe(false)
  news(TWO, 0)
  expect(await result).toEqual([])
  // Nothing is left: neither the time limit nor the mirror.
  expect(kernel.timers.size).toBe(0)
  expect(followed()).toBe(false)
})

test('those that are usable when they are listed are not waited for, nor is an optimistic one', async () => {
  const { result, dump } = start([ONE, TWO])
  dump([ONE, 0], [TWO, IFA_F_TENTATIVE | IFA_F_OPTIMISTIC])
  expect(await result).toEqual([])
})

test('one that another host has is told', async () => {
  const { result, dump, news } = start([ONE])
  dump([ONE, IFA_F_TENTATIVE])
  news(ONE, IFA_F_TENTATIVE | IFA_F_DADFAILED)
  expect(await result).toEqual([{ ifindex: LINK, cidr: ONE, why: 'duplicate' }])
})

test('what somebody removes is waited for no more, also when that is heard of by its absence only', async () => {
  const { kernel, result, dump, news, settled } = start([ONE, TWO])
  dump([ONE, IFA_F_TENTATIVE], [TWO, IFA_F_TENTATIVE])
  news(ONE, IFA_F_TENTATIVE, { type: 21 })
  expect(await settled()).toBe(false)
  kernel.deliver(-1)
  dump()
  expect(await result).toEqual([])
})

test('after the time limit those that are tentative are told', async () => {
  const { kernel, result, dump, news } = start([ONE, TWO])
  dump([ONE, IFA_F_TENTATIVE], [TWO, IFA_F_TENTATIVE])
  news(ONE, 0)
  kernel.expire()
  expect(await result).toEqual([{ ifindex: LINK, cidr: TWO, why: 'tentative' }])
})
