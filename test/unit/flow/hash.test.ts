import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { hashEnd, hashWord } from '../../../src/flow/hash.ts'
import { createKey, K_NW_DST, K_NW_SRC, K_TP } from '../../../src/flow/key.ts'
import { microflow } from '../../../src/flow/microflow.ts'
import { FlowNames } from '../../../src/ofproto/flow-names.ts'

const url = (path: string): string => new URL(path, import.meta.url).href
const PLACES = 1024

/** Three words that a guest chooses. */
type Chosen = readonly [src: number, dst: number, ports: number]

const placeOf = ([src, dst, ports]: Chosen): number =>
  hashEnd((hashWord(src, K_NW_SRC) + hashWord(dst, K_NW_DST) + hashWord(ports, K_TP)) | 0) & (PLACES - 1)

interface Elsewhere {
  readonly places: readonly number[]
  /** Of a key of zeros. */
  readonly microflow: number
}

/** Where another thread would put them. */
const elsewhere = (keys: readonly Chosen[]): Promise<Elsewhere> => {
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    const { hashEnd, hashWord } = await import(workerData.hash)
    const { createKey, K_NW_DST, K_NW_SRC, K_TP } = await import(workerData.key)
    const { microflow } = await import(workerData.microflow)
    parentPort.postMessage({
      microflow: microflow(createKey()),
      places: workerData.keys.map(
        ([src, dst, ports]) =>
          hashEnd((hashWord(src, K_NW_SRC) + hashWord(dst, K_NW_DST) + hashWord(ports, K_TP)) | 0) & ${PLACES - 1},
      ),
    })`
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
      execArgv: ['--import', url('../../../scripts/typescript.mjs')],
      workerData: {
        keys,
        hash: url('../../../src/flow/hash.ts'),
        key: url('../../../src/flow/key.ts'),
        microflow: url('../../../src/flow/microflow.ts'),
      },
    })
    worker.on('message', resolve)
    worker.on('error', reject)
  })
}

it('keys that fall on one place in one thread are spread in another; so are microflows', async () => {
  const together: Chosen[] = []
  for (let n = 0; together.length < 64; n++) {
    const key: Chosen = [0x0a000001, 0x0a000000 + (n >>> 16), (n << 16) | 53]
    if (placeOf(key) === 0) together.push(key)
  }
  const other = await elsewhere(together)
  expect(new Set(other.places).size).toBeGreaterThan(32)
  expect(other.microflow).not.toBe(microflow(createKey()))
}, 30_000)

it('one bit of a word that is changed changes the place in half of all cases or more', () => {
  let same = 0
  for (let bit = 0; bit < 32; bit++)
    for (let n = 0; n < 64; n++) {
      const src = Math.imul(n, 0x9e3779b1)
      if (placeOf([src, n, 0]) === placeOf([src ^ (1 << bit), n, 0])) same++
    }
  expect(same).toBeLessThan((32 * 64) / 2)
})

it('names that somebody chose for a place of the table do not crowd it', () => {
  const chosen = (id: number): Int32Array => Int32Array.of(0, 0, 0, id)
  const names = new FlowNames(60_000)
  const began = performance.now()
  for (let id = 0; id < 60_000; id++) names.add(id, chosen(id))
  for (let id = 0; id < 60_000; id += 1000) expect(names.find(chosen(id))).toBe(id)
  // On one place they would need 1.8 thousand million steps.
  expect(performance.now() - began).toBeLessThan(1000)
})
