import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CommandWriter } from '../../../src/lib/command-writer.ts'
import { ReplyRing } from '../../../src/lib/reply-ring.ts'
import { createRingMemory, RingConsumer, RingProducer } from '../../../src/lib/ring.ts'

describe('ring', () => {
  it('is a bounded queue of records', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('push' as const), n: fc.integer({ min: 1, max: 32 }) }),
      fc.constant({ type: 'publish' as const }),
      fc.constant({ type: 'take' as const }),
      fc.constant({ type: 'release' as const }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const memory = createRingMemory(64)
        const producer = new RingProducer(memory)
        const consumer = new RingConsumer(memory)
        const written: number[][] = []
        const visible: number[][] = []
        let taken = 0
        let value = 0
        for (const s of steps) {
          if (s.type === 'push') {
            const at = producer.reserve(s.n)
            if (at < 0) {
              // An empty ring takes every record of at most half of its size.
              if (written.length === 0 && visible.length === 0 && taken === 0) expect(s.n).toBeGreaterThan(32)
              continue
            }
            const record = Array.from({ length: s.n - 1 }, () => value++)
            record.forEach((v, i) => {
              producer.words[at + i] = v
            })
            written.push(record)
          } else if (s.type === 'publish') {
            producer.publish()
            visible.push(...written.splice(0))
          } else if (s.type === 'take') {
            const at = consumer.next()
            expect(at >= 0).toBe(visible.length > 0)
            if (at < 0) continue
            const want = visible.shift()!
            expect([...consumer.words.subarray(at, at - 1 + consumer.words[at - 1]!)]).toEqual(want)
            taken++
          } else {
            consumer.release()
            taken = 0
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('tells the producer of a sleeping consumer once', () => {
    const memory = createRingMemory(64)
    const producer = new RingProducer(memory)
    const consumer = new RingConsumer(memory)
    expect(consumer.sleep()).toBe(true)
    producer.reserve(2)
    producer.publish()
    expect([producer.mustWake(), producer.mustWake()]).toEqual([true, false])
    expect(consumer.sleep()).toBe(false)
    expect(producer.mustWake()).toBe(false)
  })

  it('carries every record between threads, in order', async () => {
    const memory = createRingMemory(256)
    const records = 200_000
    const worker = new Worker(
      `const { workerData: m } = require('node:worker_threads')
       let head = 0
       for (let n = 0; n < ${records}; n++) {
         const size = 2 + (n % 5)
         for (;;) {
           const at = head & 255
           const need = size <= 256 - at ? size : 256 - at + size
           if (256 - ((head - Atomics.load(m, 16)) | 0) < need) continue
           let i = 48 + at
           if (size > 256 - at) { m[i] = 0x40000000 | (256 - at); i = 48 }
           m[i] = size
           for (let w = 1; w < size; w++) m[i + w] = n
           head = (head + need) | 0
           break
         }
         Atomics.store(m, 0, head)
       }`,
      { eval: true, workerData: memory },
    )
    const exited = new Promise((resolve) => worker.on('exit', resolve))
    const consumer = new RingConsumer(memory)
    let n = 0
    let wrong = 0
    while (n < records) {
      for (let at = consumer.next(); at >= 0; at = consumer.next(), n++)
        for (let w = 0; w < 1 + (n % 5); w++) if (consumer.words[at + w] !== n) wrong++
      consumer.release()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await exited
    expect([n, wrong]).toEqual([records, 0])
  })
})

describe('rings with a queue behind', () => {
  it('CommandWriter keeps order and loses nothing when there is no room', () => {
    const memory = createRingMemory(64)
    const writer = new CommandWriter(memory, () => {})
    const consumer = new RingConsumer(memory)
    for (let n = 0; n < 100; n++) {
      const { words, at } = writer.reserve(2)
      words[at] = n
      words[at + 1] = -n
    }
    expect(writer.queued).toBeGreaterThan(0)
    const got: number[] = []
    for (let rounds = 0; rounds < 20; rounds++) {
      const done = writer.flush()
      for (let at = consumer.next(); at >= 0; at = consumer.next()) got.push(consumer.words[at]!)
      consumer.release()
      if (done) break
    }
    expect(got).toEqual(Array.from({ length: 100 }, (_, n) => n))
  })

  it('CommandWriter wakes once a batch, and only a sleeper', () => {
    const memory = createRingMemory(64)
    let woken = 0
    const writer = new CommandWriter(memory, () => void woken++)
    const consumer = new RingConsumer(memory)
    writer.reserve(1)
    writer.flush()
    expect(woken).toBe(0)
    consumer.next()
    consumer.release()
    consumer.sleep()
    writer.reserve(1)
    writer.reserve(1)
    expect(woken).toBe(0)
    writer.flush()
    writer.flush()
    expect(woken).toBe(1)
  })

  it('ReplyRing refuses what may be refused and keeps the rest', () => {
    const memory = createRingMemory(64)
    const ring = new ReplyRing(memory, () => {})
    const consumer = new RingConsumer(memory)
    let accepted = 0
    while (ring.tryPush(1, accepted)) accepted++
    ring.push(2, 7)
    expect([accepted, ring.blocked, ring.tryPush(1, 0)]).toEqual([21, true, false])
    ring.publish()
    while (consumer.next() >= 0);
    consumer.release()
    expect([ring.flushBacklog(), ring.blocked]).toEqual([true, false])
    ring.publish()
    const at = consumer.next()
    expect([consumer.words[at], consumer.words[at + 1]]).toEqual([2, 7])
  })
})
