/**
 * Captures live by the `cap` package and prints one JSON line a frame: {"hex": ..., "truncated": ...}; the first line is {"listening": LINK TYPE}.
 * A process of its own, since it runs in the guest's namespace and `cap` takes the process's own event loop. Usage: live-child.mjs LINK FILTER
 */
import { createRequire } from 'node:module'

const { Cap } = createRequire(import.meta.url)('cap')
const [link, filter] = process.argv.slice(2)
const buffer = Buffer.alloc(65_535)
const capture = new Cap()
const linkType = capture.open(link, filter ?? '', 16 << 20, buffer)
capture.setMinBytes?.(0)
capture.on('packet', (length, truncated) => {
  console.log(JSON.stringify({ hex: buffer.toString('hex', 0, length), truncated }))
})
console.log(JSON.stringify({ listening: linkType }))
process.on('SIGTERM', () => {
  capture.close()
  process.exit(0)
})
