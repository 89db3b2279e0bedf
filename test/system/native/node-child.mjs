/**
 * The addon under one version of Node, in a process of its own so that an abort is seen as one: kernels, workers that end with open watches
 * under a storm of events, a callback that throws, namespaces of threads, an end without process.exit. Usage: node-child.mjs ADDON NETNS
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const [addon, netns] = isMainThread ? process.argv.slice(2) : workerData
const native = createRequire(import.meta.url)(addon)
const here = () => readlinkSync('/proc/thread-self/ns/net')

const storm = () => {
  const fds = Array.from({ length: 16 }, () => native.eventfd())
  for (const fd of fds) native.watch(fd, () => native.eventfdDrain(fd))
  parentPort.postMessage({ fds })
  const again = () => {
    for (const fd of fds) native.eventfdSignal(fd)
    setImmediate(again)
  }
  again()
}

const visit = () => {
  const home = here()
  native.setns(netns)
  assert.notEqual(here(), home)
  assert.throws(() => native.setns(`${netns}-no`), { code: 'ENOENT' })
  assert.notEqual(here(), home)
  native.setns(null)
  assert.equal(here(), home)
  parentPort.postMessage('back')
}

const main = async () => {
  assert.equal(native.checksum(Uint8Array.of(0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8, 0), 0xddf2)
  assert.equal(native.layout().META_WORDS, 40)

  for (let round = 0; round < 20; round++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: [addon, netns], argv: ['storm'] })
    const [{ fds }] = await once(worker, 'message')
    for (let i = 0; i < round * 200; i++) native.eventfdSignal(fds[i % fds.length])
    await worker.terminate()
    for (const fd of fds) native.eventfdSignal(fd)
    for (const fd of fds) native.close(fd)
  }

  const home = here()
  const visitor = new Worker(new URL(import.meta.url), { workerData: [addon, netns], argv: ['visit'] })
  await Promise.all([once(visitor, 'message'), once(visitor, 'exit')])
  assert.equal(here(), home)

  const fd = native.eventfd()
  const thrown = once(process, 'uncaughtException')
  const throwing = native.watch(fd, () => {
    native.eventfdDrain(fd)
    throw new Error('from a callback')
  })
  native.eventfdSignal(fd)
  assert.equal((await thrown)[0].message, 'from a callback')
  native.unwatch(throwing)

  let calls = 0
  let handle = 0
  await new Promise((resolve) => {
    handle = native.watch(fd, () => {
      native.eventfdDrain(fd)
      if (++calls === 3) resolve()
      else native.eventfdSignal(fd)
    })
    native.eventfdSignal(fd)
  })
  native.unwatch(handle)
  native.eventfdSignal(fd)
  native.close(fd)
  process.on('exit', () => {
    assert.equal(calls, 3)
    console.log(`fine on ${process.version}`)
  })
}

if (isMainThread) await main()
else if (process.argv.includes('storm')) storm()
else visit()
