/**
 * `tapswitch parse-pcap FILE`: the flow of each captured frame, one line a frame, as `ovs-ofctl parse-pcap` prints it.
 */
import { readFileSync } from 'node:fs'
import { extract } from '../flow/extract.ts'
import { formatFlow } from '../flow/flow-text.ts'
import { createKey, K_IN_PORT } from '../flow/key.ts'
import { OFPP_NONE } from '../flow/ofp.ts'
import { type Captured, LINK_ETHERNET, LINK_LINUX_SLL, openCapture } from '../packet/pcap.ts'

const SLL_HLEN = 16

/** Thrown when the file cannot be read, is no capture, or breaks off; the lines before have been yielded. */
export class CaptureError extends Error {}

/**
 * Yields one line for each frame of a pcap or pcapng file. Link types: Ethernet, and Linux cooked v1, whose frames
 * have no destination address: it is shown as zero. Records that ovs-ofctl refuses, and stops at, have their line
 * too: empty ones and those longer than 65,535 bytes. Throws CaptureError.
 */
export function* parsePcapFile(path: string): Generator<string, void, undefined> {
  let file: Uint8Array
  try {
    file = readFileSync(path)
  } catch (error) {
    throw new CaptureError(`${path}: ${error instanceof Error ? error.message : error}`)
  }
  const reader = openCapture(file)
  if (typeof reader === 'string') throw new CaptureError(`${path}: ${reader}`)
  const key = createKey()
  key[K_IN_PORT] = OFPP_NONE
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    const bytes = ethernetFrame(frame)
    if (typeof bytes === 'string') throw new CaptureError(`${path}: ${bytes}`)
    extract(bytes, 0, bytes.length, key)
    yield formatFlow(key)
  }
  if (reader.error !== undefined) throw new CaptureError(`${path}: ${reader.error}`)
}

const ethernetFrame = ({ bytes, linkType }: Captured): Uint8Array | string => {
  if (linkType === LINK_ETHERNET) return bytes
  if (linkType !== LINK_LINUX_SLL) return `link type ${linkType}, Ethernet (1) or Linux cooked v1 (113) expected`
  if (bytes.length < SLL_HLEN) return `Linux cooked header cut short: ${bytes.length} of ${SLL_HLEN} bytes are there`
  const addressLength = (bytes[4]! << 8) | bytes[5]!
  if (addressLength !== 6) return `Linux cooked header with an address of ${addressLength} bytes, 6 expected`
  const frame = new Uint8Array(bytes.length - 2)
  frame.set(bytes.subarray(6, 12), 6)
  frame.set(bytes.subarray(14), 12)
  return frame
}
