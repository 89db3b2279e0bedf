/** The addresses that a configuration gives to internal ports. Main thread. */
import { errorText } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { usableAddresses } from '../netlink/usable-addresses.ts'
import type { SwitchPort } from './ports.ts'

/** The kernel looks for another owner of an address for two seconds at most, unless it was told to look more often. */
const LIMIT_MS = 5000

const WHY = {
  duplicate: 'an address is not used: another host has it',
  tentative: 'an address is not usable yet: the kernel still looks for another host that has it',
} as const

/** Resolves when hosts answer for the addresses of internal ports. Of those that are not usable the log tells. Never rejects. */
export const addressesUsable = async (ports: Iterable<SwitchPort>, log: Pick<Log, 'warn'>): Promise<void> => {
  const waits = [...ports].map(async ({ plan: { name, addresses }, opened: { ifindex }, hold }) => {
    if (hold === undefined || addresses === undefined) return
    const given = addresses.map((cidr) => ({ ifindex, cidr }))
    try {
      for (const { cidr, why } of await usableAddresses(hold.namespace, given, LIMIT_MS))
        log.warn(WHY[why], { port: name, address: cidr })
    } catch (error) {
      log.warn('whether addresses are usable is not known', { port: name, error: errorText(error) })
    }
  })
  await Promise.all(waits)
}
