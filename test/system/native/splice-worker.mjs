/**
 * A worker that joins two descriptors: what one gives, the other gets. A side with a `tag` gets frames with that VLAN tag pushed, and what it
 * gives has it popped. Runs until state[STOP] is set; waits in epoll only, as the product's workers do. Plain JavaScript, since a worker of
 * the tests is not transpiled.
 */
import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'

const { addon, sides, wake, bytes, meta, small, big, state, S, K } = workerData
const native = createRequire(import.meta.url)(addon)

const smallStack = Int32Array.from({ length: small }, (_, i) => i)
const bigStack = Int32Array.from({ length: big }, (_, i) => small + i)
let smallFree = small
let bigFree = big
const out = new Int32Array(64 + K.RX_SPARE)
const tunnels = new Int32Array(1)
const rx = new Int32Array(8)
const tx = new Int32Array(8)
const tokens = new Int32Array(8)
const events = new Int32Array(8)
const WAKE = 99

const epoll = native.epollCreate()
sides.forEach((side, i) => {
  native.epollAdd(epoll, side.fd, i)
})
native.epollAdd(epoll, wake, WAKE)

const note = (n) => {
  for (let i = 0; i < n; i++) {
    const m = out[i] * K.META_WORDS
    const type = meta[m + K.M_GSO_TYPE]
    if (type !== 0) state[S.GSO]++
    if ((type & 0x1f) === K.GSO_UDP_L4) state[S.UDP_GSO]++
    if ((type & 0x60) !== 0) state[S.TUNNEL_GSO]++
    if ((meta[m + K.M_VFLAGS] & K.VNET_F_NEEDS_CSUM) !== 0) state[S.PARTIAL]++
  }
}

const shiftFacts = (m, by) => {
  for (const word of [K.M_HDR_LEN, K.M_CSUM_START, K.M_OUTER_TH, K.M_INNER_NH])
    if (meta[m + word] > 0) meta[m + word] += by
  meta[m + K.M_OFF] -= by
  meta[m + K.M_LEN] += by
}

const push = (m, tag) => {
  shiftFacts(m, 4)
  const off = meta[m + K.M_OFF]
  bytes.copyWithin(off, off + 4, off + 16)
  bytes.set([0x81, 0, tag >> 8, tag & 0xff], off + 12)
}

const pop = (m, tag) => {
  const off = meta[m + K.M_OFF]
  const found = bytes.subarray(off + 12, off + 16).join()
  if (found !== [0x81, 0, tag >> 8, tag & 0xff].join()) {
    state[S.UNTAGGED]++
    return
  }
  bytes.copyWithin(off + 4, off, off + 12)
  shiftFacts(m, -4)
}

const readers = sides.map((side) =>
  native.rxOpen(side.fd, side.kind, side.vnetHdr, 1, bytes, meta, smallStack, bigStack, out, rx, tunnels),
)
const writers = sides.map((side) =>
  native.txOpen(side.fd, side.kind, side.vnetHdr, side.offloads, bytes, meta, out, tx, tunnels),
)
const waiter = native.epollOpen(epoll, tokens, events, new Float64Array(1))

const pass = (i) => {
  const from = sides[i]
  const to = sides[1 - i]
  const n = native.rxBatch(readers[i], smallFree, bigFree, 64)
  smallFree -= rx[0]
  bigFree -= rx[1]
  state[S.RX] += n
  state[S.RX_DROPS] += rx[2] + rx[3] + rx[6]
  if (rx[5] !== 0) state[S.RX_ERRNO] = rx[5]
  note(n)
  for (let k = 0; k < n; k++) {
    if (from.tag) pop(out[k] * K.META_WORDS, from.tag)
    if (to.tag) push(out[k] * K.META_WORDS, to.tag)
  }
  native.txBatch(writers[1 - i], 0, n)
  state[S.WRITES] += tx[0]
  state[S.FULL] += tx[1]
  state[S.MALFORMED] += tx[2]
  state[S.ERROR] += tx[3]
  if (tx[3] > 0) state[S.ERRNO] = tx[4]
  for (let k = 0; k < n; k++) {
    if (meta[out[k] * K.META_WORDS + K.M_SIZE] === K.SMALL_SIZE) smallStack[smallFree++] = out[k]
    else bigStack[bigFree++] = out[k]
  }
}

parentPort.postMessage('ready')
while (Atomics.load(state, S.STOP) === 0) {
  const n = native.epollWait(waiter, 200)
  for (let i = 0; i < n; i++) {
    if (tokens[i] === WAKE) native.eventfdDrain(wake)
    else pass(tokens[i])
  }
  if (state[S.RX_ERRNO] !== 0) break
}
native.close(epoll)
