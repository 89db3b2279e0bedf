/**
 * Nanoseconds a look-up in tier 1's classifier, with and without un-wildcarding, for rule sets of growing size over the same few masks; and per insertion and removal.
 * `node --import ./scripts/typescript.mjs bench/micro/classifier.ts [MILLISECONDS]`: time for each figure, 200 when absent.
 */
import * as K from '../../src/flow/key.ts'
import { Classifier } from '../../src/ofproto/classifier.ts'
import { Rule } from '../../src/ofproto/rule.ts'

const budget = Number(process.argv[2] ?? 200)
const SIZES = [1, 100, 10_000, 100_000]
/** More than a cache holds, so that memory counts. */
const PROBES = 8192

/** xorshift: the same rules in every run. */
let state = 0x9e3779b9
const random = (below: number): number => {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % below
}

/** Shapes of rules as in an access list behind a switch: ports, MACs, subnets of several lengths, services. Each with its priority. */
type Shape = (key: Int32Array, mask: Int32Array) => void
const exact = (word: number, value: number, bits = -1): Shape => {
  return (key, mask) => {
    mask[word] = mask[word]! | bits
    key[word] = (key[word]! & ~bits) | (value & bits)
  }
}
const all = (...shapes: Shape[]): Shape => {
  return (key, mask) => {
    for (const shape of shapes) shape(key, mask)
  }
}
const ip = exact(K.K_DL_TYPE, 0x0800 << 16, 0xffff0000)
const tcp = all(ip, exact(K.K_NW, 6 << 24, 0xff000000))
const address = (): number => 0x0a000000 | random(1 << 20)
const shapes: (() => Shape)[] = [
  () => all(tcp, exact(K.K_NW_DST, address()), exact(K.K_TP, random(0x10000), 0xffff)),
  () => all(tcp, exact(K.K_NW_SRC, address()), exact(K.K_NW_DST, address())),
  () =>
    all(exact(K.K_IN_PORT, random(64)), exact(K.K_ETH, 0x02000000 | random(256)), exact(K.K_ETH + 1, random(-1 >>> 0))),
  () => all(tcp, exact(K.K_NW_DST, address(), 0xffffff00), exact(K.K_TP, random(1024), 0xffff)),
  () => all(ip, exact(K.K_NW_DST, address())),
  () => all(ip, exact(K.K_NW_DST, address(), 0xffffff00)),
  () => all(exact(K.K_IN_PORT, random(64)), ip, exact(K.K_NW_DST, address(), 0xfffff000)),
  () => exact(K.K_IN_PORT, random(64)),
]

const makeRule = (): Rule => {
  const kind = random(shapes.length)
  const match = { key: K.createKey(), mask: K.createKey() }
  shapes[kind]!()(match.key, match.mask)
  const parts = { table: 0, cookie: 0n, idleTimeout: 0, hardTimeout: 0, actions: [] }
  return new Rule({ ...parts, match, priority: 1000 - kind * 100 + random(50) }, 1)
}

const noise = (): Int32Array => {
  const key = K.createKey()
  all(
    tcp,
    exact(K.K_IN_PORT, random(64)),
    exact(K.K_NW_SRC, address()),
    exact(K.K_NW_DST, address()),
  )(key, K.createKey())
  key[K.K_ETH] = 0x02000000 | random(256)
  key[K.K_TP] = (random(0x10000) << 16) | random(1024)
  return key
}

/** Packets: half of them made to meet some rule, the others at random. */
const makeProbes = (rules: readonly Rule[]): Int32Array[] =>
  Array.from({ length: PROBES }, (_, i) => {
    const key = noise()
    if (i % 2 === 0) return key
    const { match } = rules[random(rules.length)]!
    return key.map((word, w) => (word & ~match.mask[w]!) | match.key[w]!)
  })

/** Best of several rounds: what the code costs when nothing else runs. */
const nanoseconds = (count: number, run: () => void): number => {
  let best = Infinity
  const end = performance.now() + budget
  do {
    const start = process.hrtime.bigint()
    run()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / count)
  } while (performance.now() < end)
  return best
}

process.stdout.write('   rules  masks   look-up  un-wildcarding    insert    remove  (ns each)   found\n')
for (const size of SIZES) {
  const classifier = new Classifier()
  const rules: Rule[] = []
  let attempts = 0
  while (rules.length < size && attempts++ < size * 4) {
    const rule = makeRule()
    if (classifier.findStrict(rule.match, rule.priority) !== null) continue
    classifier.insert(rule)
    rules.push(rule)
  }
  const probes = makeProbes(rules)
  const wc = K.createKey()
  let found = 0
  const plain = nanoseconds(PROBES, () => {
    found = 0
    for (const key of probes) if (classifier.lookup(key, null) !== null) found++
  })
  const masked = nanoseconds(PROBES, () => {
    for (const key of probes) {
      wc.fill(0)
      classifier.lookup(key, wc)
    }
  })
  const changed = rules.slice(0, Math.min(1000, rules.length))
  let removeBest = Infinity
  const insert = nanoseconds(changed.length, () => {
    const start = process.hrtime.bigint()
    for (const rule of changed) classifier.remove(rule)
    removeBest = Math.min(removeBest, Number(process.hrtime.bigint() - start) / changed.length)
    for (const rule of changed) classifier.insert(rule)
  })
  const columns = [
    String(rules.length).padStart(8),
    String(classifier.subtableCount).padStart(6),
    plain.toFixed(0).padStart(9),
    masked.toFixed(0).padStart(15),
    (insert - removeBest).toFixed(0).padStart(9),
    removeBest.toFixed(0).padStart(9),
    `${((100 * found) / PROBES).toFixed(0)}%`.padStart(18),
  ]
  process.stdout.write(`${columns.join(' ')}\n`)
}
