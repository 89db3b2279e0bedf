/** Six-byte identities for what was given none: always the same for a name, locally administered, never multicast. */
import { createHash } from 'node:crypto'
import { hostname } from 'node:os'

const identity = (text: string): string => {
  const digest = createHash('sha256').update(text).digest()
  digest[0] = (digest[0]! & 0xfc) | 0x02
  return [...digest.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** The switch ID of an eswitch. */
export const generateSwitchId = (name: string): string => identity(`tapswitch eswitch ${name}`)

/** The MAC of a bridge's internal port without interface. Others of one network, on this machine or another one, may have bridges of the same name. */
export const generateMac = (control: string, bridge: string): string =>
  identity(`tapswitch bridge ${hostname()} ${control} ${bridge}`)
