/** A switch ID for an eswitch that was given none: stable for a name, locally administered, never multicast. */
import { createHash } from 'node:crypto'

export const generateSwitchId = (name: string): string => {
  const digest = createHash('sha256').update(`tapswitch eswitch ${name}`).digest()
  digest[0] = (digest[0]! & 0xfc) | 0x02
  return [...digest.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}
