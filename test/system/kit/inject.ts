/** Injection of raw IPv4 packets by the `raw-socket` package; Ethernet is the guest's kernel's. For frames as a whole see scapy.ts. */
import type { Guest } from './testbed.ts'

/** Sends IPv4 packets, headers included, from the guest towards `destination`. The kernel fills in a zero id, the length and the header checksum. */
export const injectIpv4 = async (guest: Guest, destination: string, packets: readonly Uint8Array[]): Promise<void> => {
  const script = new URL('inject-child.mjs', import.meta.url).pathname
  const input = packets.map((packet) => `${Buffer.from(packet).toString('hex')}\n`).join('')
  const output = await guest.must([process.execPath, script, destination], { input })
  if (output.trim() !== `sent ${packets.length}`) throw new Error(`raw-socket: ${output}`)
}
