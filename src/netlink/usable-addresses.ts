/**
 * Waits until addresses that were added are usable. While the kernel looks for another owner of an IPv6 address (duplicate detection, RFC 4862, section 5.4) the address is tentative: nothing is
 * sent from it, and nobody who asks for it is answered. Main thread.
 */
import {
  type Address,
  addressDumpPayload,
  IFA_F_DADFAILED,
  IFA_F_OPTIMISTIC,
  IFA_F_TENTATIVE,
  isAddressMessage,
  parseAddress,
  parseCidr,
  RTM_DELADDR,
  RTM_GETADDR,
  RTNLGRP_IPV6_IFADDR,
} from './address.ts'
import type { Namespace } from './namespace.ts'
import { systemTimers, type Timers } from './transport.ts'

/** An address that a link has been given: '2001:db8::1/64'. */
export interface GivenAddress {
  readonly ifindex: number
  readonly cidr: string
}

export interface UnusableAddress extends GivenAddress {
  /** 'duplicate': another host has it; the kernel uses it no more. 'tentative': not known when the time was over. */
  readonly why: 'duplicate' | 'tentative'
}

const keyOf = (ifindex: number, bytes: Uint8Array): string => `${ifindex} ${Buffer.from(bytes).toString('hex')}`

/** Whether another owner is still looked for; an optimistic address is used meanwhile (RFC 4429). */
const undecided = ({ flags }: Address): boolean =>
  (flags & IFA_F_TENTATIVE) !== 0 && (flags & (IFA_F_OPTIMISTIC | IFA_F_DADFAILED)) === 0

/**
 * Resolves with those that are not usable, at the latest after `ms`. IPv4 addresses are usable at once; what somebody has removed meanwhile is waited for no more. Rejects when the
 * kernel cannot be asked.
 */
export const usableAddresses = (
  namespace: Pick<Namespace, 'socket' | 'join' | 'attach'>,
  given: readonly GivenAddress[],
  ms: number,
  timers: Timers = systemTimers,
): Promise<readonly UnusableAddress[]> => {
  const waiting = new Map<string, GivenAddress>()
  for (const one of given) {
    const { version, bytes } = parseCidr(one.cidr)
    if (version === 6) waiting.set(keyOf(one.ifindex, bytes), one)
  }
  if (waiting.size === 0) return Promise.resolve([])
  const duplicates: UnusableAddress[] = []
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      cancel()
      detach()
      resolve([...duplicates, ...[...waiting.values()].map((one) => ({ ...one, why: 'tentative' as const }))])
    }
    const take = (address: Address, gone: boolean): void => {
      const key = keyOf(address.ifindex, address.bytes)
      const one = waiting.get(key)
      if (one === undefined || (!gone && undecided(address))) return
      waiting.delete(key)
      if (!gone && (address.flags & IFA_F_DADFAILED) !== 0) duplicates.push({ ...one, why: 'duplicate' })
    }
    const look = (): void => {
      const listed = new Set<string>()
      const all = namespace.socket.dump(
        RTM_GETADDR,
        addressDumpPayload(),
        (message) => {
          const address = parseAddress(message)
          listed.add(keyOf(address.ifindex, address.bytes))
          take(address, false)
        },
        () => listed.clear(),
      )
      all.then(() => {
        for (const key of waiting.keys()) if (!listed.has(key)) waiting.delete(key)
        if (waiting.size === 0) finish()
      }, fail)
    }
    const fail = (error: unknown): void => {
      cancel()
      detach()
      reject(error)
    }
    const cancel = timers.after(ms, finish)
    const detach = namespace.attach({
      message: (message) => {
        if (!isAddressMessage(message)) return
        try {
          take(parseAddress(message), message.type === RTM_DELADDR)
        } catch {
          // Of no address: nothing that is waited for.
          return
        }
        if (waiting.size === 0) finish()
      },
      overrun: look,
      clear: () => {
        waiting.clear()
        finish()
      },
    })
    try {
      namespace.join([RTNLGRP_IPV6_IFADDR])
    } catch (error) {
      fail(error)
      return
    }
    look()
  })
}
