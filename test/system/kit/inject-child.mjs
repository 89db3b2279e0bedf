/**
 * Sends raw IPv4 packets by the `raw-socket` package, header included: one packet a line of standard input, in hexadecimal. Prints `sent N` at the
 * end, or the first error. Usage: inject-child.mjs DESTINATION
 */
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const raw = createRequire(import.meta.url)('raw-socket')
const destination = process.argv[2]
const socket = raw.createSocket({ protocol: 255 })
socket.setOption(raw.SocketLevel.IPPROTO_IP, raw.SocketOption.IP_HDRINCL, Buffer.from([1, 0, 0, 0]), 4)
const send = (packet) =>
  new Promise((resolve, reject) => {
    socket.send(packet, 0, packet.length, destination, (error) => (error ? reject(error) : resolve()))
  })

let sent = 0
for await (const line of createInterface({ input: process.stdin })) {
  if (line === '') continue
  await send(Buffer.from(line, 'hex'))
  sent++
}
console.log(`sent ${sent}`)
socket.close()
