/**
 * What the mirror of the kernel's forwarding costs, in a namespace of its own (root): memory for many routes, the time of a look-up, CPU and delay at a steady
 * rate of route changes, and of a link that goes down under all of them. Run: `node --import ./scripts/typescript.mjs bench/micro/fib.ts [--smoke]`
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Namespace } from '../../src/netlink/namespace.ts'
import { nativeTransport } from '../../src/netlink/native-transport.ts'
import { FIB_GROUPS, Fib } from '../../src/tunnel/fib.ts'

const SMOKE = process.argv.includes('--smoke')
const ROUTES = SMOKE ? 2_000 : 100_000
const SECONDS = SMOKE ? 1 : 10
const RATE = 1_000
const NETNS = `fibbench${process.pid}`

const ip = (...args: string[]): void => {
  execFileSync('ip', ['-n', NETNS, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
}
const net = (i: number): string => `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`
const line = (name: string, value: string): void => console.log(`${name.padEnd(60)} ${value.padStart(12)}`)
const heap = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().rss + process.memoryUsage().external
}
const onError = (error: Error): never => {
  throw error
}

execFileSync('ip', ['netns', 'add', NETNS])
try {
  for (const [name, address] of [
    ['u0', '192.0.2.1/24'],
    ['u1', '198.51.100.1/24'],
  ] as const) {
    ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`)
    ip('link', 'set', `${name}p`, 'up')
    ip('addr', 'add', address, 'dev', name)
    ip('link', 'set', name, 'up')
  }
  const file = join(tmpdir(), `${NETNS}.batch`)
  const adds = Array.from({ length: ROUTES }, (_, i) => `route add ${net(i)} via 192.0.2.${2 + (i % 200)}`)
  writeFileSync(file, adds.join('\n'))
  ip('-batch', file)

  const namespace = await Namespace.open({ transport: nativeTransport, netns: NETNS, groups: FIB_GROUPS, onError })
  const before = heap()
  const fib = new Fib(namespace, { onError })
  const started = performance.now()
  await fib.start()
  line(`first dump of ${fib.size} routes`, `${(performance.now() - started).toFixed(0)} ms`)
  line('memory a route (RSS)', `${((heap() - before) / fib.size).toFixed(0)} bytes`)

  const query = { dst: Uint8Array.of(20, 0, 7, 9) }
  const lookup = (n: number): number => {
    const start = performance.now()
    for (let i = 0; i < n; i++) {
      query.dst[2] = i & 255
      fib.lookup(query)
    }
    return ((performance.now() - start) / n) * 1e6
  }
  lookup(20_000)
  line('a look-up', `${lookup(SMOKE ? 2_000 : 100_000).toFixed(0)} ns`)

  // `ip -batch -` takes its lines as they come; each route is replaced by one with another gateway.
  const changer = spawn('ip', ['-n', NETNS, '-batch', '-'], { stdio: ['pipe', 'ignore', 'inherit'] })
  let told = 0
  let inside = 0
  fib.on(() => told++)
  const apply = fib.message.bind(fib)
  fib.message = (message) => {
    const from = performance.now()
    apply(message)
    inside += performance.now() - from
  }
  const delays: number[] = []
  const cpu = process.cpuUsage()
  const begin = performance.now()
  let sent = 0
  let expected = performance.now() + 10
  while (sent < RATE * SECONDS) {
    const due = Math.min(RATE * SECONDS, Math.floor(((performance.now() - begin) / 1000) * RATE))
    let text = ''
    for (; sent < due; sent++)
      text += `route replace ${net((sent * 7919) % ROUTES)} via 192.0.2.${2 + ((sent * 31 + 1) % 200)}\n`
    if (text !== '') changer.stdin.write(text)
    await delay(10)
    delays.push(performance.now() - expected)
    expected = performance.now() + 10
  }
  changer.stdin.end()
  await once(changer, 'close')
  await namespace.getLink('lo')
  const { user, system } = process.cpuUsage(cpu)
  const elapsed = (performance.now() - begin) * 1000
  delays.sort((a, b) => a - b)
  line(`${RATE} changes/s for ${SECONDS} s: told`, `${told}`)
  line('CPU of the process, all in', `${(((user + system) / elapsed) * 100).toFixed(1)} %`)
  line('an event in the mirror', `${((inside / told) * 1000).toFixed(1)} us`)
  line('event loop late, p99', `${delays[Math.floor(delays.length * 0.99)]!.toFixed(1)} ms`)
  line('dumps that this caused', `${fib.dumps - 6}`)
  line('losses of news', `${fib.counters.resyncs}`)
  line('memory after it, a route more than before (RSS)', `${((heap() - before) / fib.size).toFixed(0)} bytes`)

  let slowest = 0
  const timed = (label: string, event: () => void): Promise<void> => {
    slowest = 0
    const from = performance.now()
    let last = from
    const ticker = setInterval(() => {
      slowest = Math.max(slowest, performance.now() - last)
      last = performance.now()
    }, 1)
    return new Promise((resolve, reject) => {
      const end = fib.on(({ kind }) => {
        if (kind !== 'resync' && ROUTES > 1024) return
        line(`${label}: told after`, `${(performance.now() - from).toFixed(0)} ms`)
        end()
        const settle = async (): Promise<void> => {
          await fib.settled()
          line(`${label}: confirmed after`, `${(performance.now() - from).toFixed(0)} ms`)
          line(`${label}: longest turn of the event loop`, `${slowest.toFixed(0)} ms`)
          clearInterval(ticker)
        }
        settle().then(resolve, reject)
      })
      event()
    })
  }
  // Not synchronous: that its own end is heard of late would count.
  await timed('link down under all of them', () => void spawn('ip', ['-n', NETNS, 'link', 'set', 'u0', 'down']))
  line('routes left', `${fib.size}`)
  namespace.close()
} finally {
  execFileSync('ip', ['netns', 'del', NETNS])
}
