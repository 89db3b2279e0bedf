/** Scapy scripts on standard input: frames of any shape, made or sent by a codec that is not ours. */
import { must } from './process.ts'
import type { Guest } from './testbed.ts'

const PYTHON = '/usr/bin/python3'
const PRELUDE = `
import sys, logging
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import *
conf.verb = 0
`

/** Runs a script after `from scapy.all import *` in the guest; returns what it prints. */
export const scapy = (guest: Guest, script: string, timeout = 60_000): Promise<string> =>
  guest.must([PYTHON, '-'], { input: PRELUDE + script, timeout })

/** Sends frames as they are by AF_PACKET, in order, in batches of `burst` with `gap` seconds between, so that no queue overflows. */
export const sendFrames = async (
  guest: Guest,
  link: string,
  frames: readonly Uint8Array[],
  { burst = 32, gap = 0.005 } = {},
): Promise<void> => {
  const script = `
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((${JSON.stringify(link)}, 0))
for i, line in enumerate(sys.stdin.read().split()):
    s.send(bytes.fromhex(line))
    if i % ${burst} == ${burst - 1}: time.sleep(${gap})
`
  const hex = frames.map((frame) => Buffer.from(frame).toString('hex')).join(' ')
  await guest.must([PYTHON, '-c', script], { input: hex })
}

/** Makes frames by a script that leaves a list of packets in `frames`; nothing is sent. */
export const makeFrames = async (script: string): Promise<Uint8Array[]> => {
  const output = await must([PYTHON, '-'], {
    input: `${PRELUDE}${script}\nfor f in frames: print(bytes(f).hex())\n`,
    timeout: 60_000,
  })
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => new Uint8Array(Buffer.from(line, 'hex')))
}
