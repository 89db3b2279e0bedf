/** The work that set-ups are measured by. Each step is bounded in time; directions are named as seen from guest a. */
import { setTimeout as delay } from 'node:timers/promises'
import { iperf } from '../../test/system/kit/iperf.ts'
import { ping } from '../../test/system/kit/ping.ts'
import type { Figures } from './metrics.ts'
import { program } from './programs.ts'
import type { Setup } from './setups/index.ts'
import { cpuOf, cpuOfMachine, residentOf } from './usage.ts'

export interface Effort {
  /** Of each transfer. */
  readonly seconds: number
  readonly pings: number
  /** Rates tried between nothing and the peak. */
  readonly probes: number
  /** Just to see that it works. */
  readonly smoke: boolean
  /** What is measured at all. */
  readonly work: ReadonlySet<Work>
}

export const WORK = ['tcp', 'udp', 'rtt', 'flows', 'beside'] as const
export type Work = (typeof WORK)[number]

const PORT = 7777
const FRESH_PORT = 7778
/** What most machines have, so that runs on machines with another can be compared. */
const CONGESTION = 'cubic'
const MEBI = 1024 * 1024
/** Packets a second of a stream that any set-up carries with ease, and seconds between echoes beside it. */
const STEADY = 10_000
const ECHO_SECONDS = 0.005
/** Loss of a rate that counts as carried. */
const CLEAN = 0.01

const pidsOf = (setup: Setup): number[] => setup.parts.flatMap((part) => part.pids)

interface Transfer {
  readonly rate: number
  /** Milliseconds of CPU for a gigabit: of the machine, and of the switch's processes. */
  readonly cpu: number
  readonly cpuSwitch: number
}

const transfer = async (setup: Setup, streams: number, reverse: boolean, effort: Effort): Promise<Transfer> => {
  const { guests } = setup.site
  const pids = pidsOf(setup)
  const before = [cpuOfMachine(), cpuOf(pids)] as const
  const amount = effort.smoke ? { bytes: '8M' } : { seconds: effort.seconds }
  const { rate, bytes } = await iperf(guests.a, guests.b, setup.site.address('b'), {
    ...amount,
    streams,
    reverse,
    congestion: CONGESTION,
  })
  const gigabits = (bytes * 8) / 1e9
  return {
    rate: rate / 1e9,
    cpu: ((cpuOfMachine() - before[0]) * 1000) / gigabits,
    cpuSwitch: ((cpuOf(pids) - before[1]) * 1000) / gigabits,
  }
}

const tcp = async (setup: Setup, effort: Effort): Promise<Figures> => {
  const one = await transfer(setup, 1, false, effort)
  for (const part of setup.parts) await part.check?.()
  const figures: Figures = { tcp1: one.rate, cpu: one.cpu }
  if (pidsOf(setup).length > 0) figures.cpuSwitch = one.cpuSwitch
  if (effort.smoke) return figures
  figures.tcp1r = (await transfer(setup, 1, true, effort)).rate
  figures.tcp4 = (await transfer(setup, 4, false, effort)).rate
  figures.tcp4r = (await transfer(setup, 4, true, effort)).rate
  return figures
}

interface Counted {
  readonly sent: number
  readonly received: number
  /** A second, at the receiver. */
  readonly rate: number
}

/** Runs a sender in one guest, and a receiver in the other until nothing comes any more. */
const counted = async (
  setup: Setup,
  port: number,
  sender: readonly string[],
  from = setup.site.guests.a,
  to = setup.site.guests.b,
): Promise<Counted> => {
  const receiver = to.start([program('traffic'), 'receive', String(port)])
  await receiver.until(/ready/)
  const { sent } = JSON.parse(await from.must([program('traffic'), ...sender])) as { sent: number }
  const { stdout } = await receiver.stop()
  const { received, seconds } = JSON.parse(stdout.replace('ready\n', '')) as { received: number; seconds: number }
  return { sent, received, rate: seconds > 0 ? received / seconds : 0 }
}

/** Most that arrives while as much as possible is offered, or less; and the highest rate found of which less than 1 % is lost. Thousands a second. */
const smallPackets = async (setup: Setup, flows: number, effort: Effort): Promise<{ peak: number; clean: number }> => {
  const send = (seconds: number, rate: number): Promise<Counted> =>
    counted(setup, PORT, [
      ...['send', setup.site.address('b'), String(PORT), String(seconds)],
      ...[String(flows), String(Math.round(rate))],
    ])
  const isClean = ({ sent, received }: Counted): boolean => received >= sent * (1 - CLEAN)
  const most = await send(effort.smoke ? 0.1 : effort.seconds / 2, 0)
  let peak = most.rate
  let clean = isClean(most) ? most.rate : 0
  let [low, high] = [0, peak]
  for (let i = 0; i < effort.probes && peak > 0 && !isClean(most); i++) {
    const rate = i === 0 ? high * 0.95 : (low + high) / 2
    const probe = await send(effort.seconds / 4, rate)
    peak = Math.max(peak, probe.rate)
    if (isClean(probe)) {
      clean = Math.max(clean, probe.rate)
      low = rate
    } else {
      high = rate
    }
  }
  return { peak: peak / 1000, clean: clean / 1000 }
}

const udp = async (setup: Setup, effort: Effort): Promise<Figures> => {
  const one = await smallPackets(setup, 1, effort)
  if (effort.smoke) return { udpPeak: one.peak }
  const many = await smallPackets(setup, 64, effort)
  return { udpPeak: one.peak, udpClean: one.clean, udp64Peak: many.peak, udp64Clean: many.clean }
}

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!

/** Microseconds, ascending. */
const timesOf = (text: string): number[] =>
  [...text.matchAll(/time=([\d.]+) ms/g)].map((m) => Number(m[1]) * 1000).sort((x, y) => x - y)

const roundTrip = async (setup: Setup, effort: Effort): Promise<Figures> => {
  const { text } = await ping(setup.site.guests.a, setup.site.address('b'), { count: effort.pings, interval: 0.01 })
  const times = timesOf(text)
  if (times.length === 0) throw new Error(`${setup.name}: no answer to ping`)
  return { rttMin: times[0]!, rttMedian: quantile(times, 0.5), rttP99: quantile(times, 0.99) }
}

/** Runs `work` with a sender of first packets at hand: of flows from guest a that the switch has not seen and must be asked about, as many as it can. */
const withFreshFlows = async (
  setup: Setup,
  work: (sender: readonly string[]) => Promise<Figures>,
  seconds: number,
): Promise<Figures> => {
  const ask = setup.parts[0]!.askAboutPort
  if (!ask) return {}
  const { site } = setup
  const { b } = site.guests
  const links = JSON.parse(await b.must(['ip', '-json', 'link', 'show', site.link('b')])) as [{ address: string }]
  const source = site.address('a').replace(/\.1$/, '.10')
  const done = await ask(FRESH_PORT)
  try {
    return await work([
      ...['fresh', site.link('a'), links[0].address, source, site.address('b'), String(FRESH_PORT)],
      ...[String(seconds), '0'],
    ])
  } finally {
    await done()
  }
}

/** As they arrive: translated, installed, offered to the NIC. */
const newFlows = (setup: Setup, effort: Effort): Promise<Figures> =>
  withFreshFlows(
    setup,
    async (fresh) => ({ newFlows: (await counted(setup, FRESH_PORT, fresh)).rate / 1000 }),
    effort.smoke ? 0.05 : effort.seconds / 2,
  )

/** What becomes meanwhile of those who are known: a stream at a fixed rate from guest b, and echoes, of which the answers share the new flows' port. */
const besideNewFlows = (setup: Setup, effort: Effort): Promise<Figures> => {
  const { a, b } = setup.site.guests
  const seconds = effort.smoke ? 0.05 : effort.seconds / 2
  const stream = (time: number): Promise<Counted> =>
    counted(setup, PORT, ['send', setup.site.address('a'), String(PORT), String(time), '1', String(STEADY)], b, a)
  const echoes = (count: number): ReturnType<typeof ping> =>
    ping(b, setup.site.address('a'), { count, interval: ECHO_SECONDS })
  return withFreshFlows(
    setup,
    async (fresh) => {
      await Promise.all([stream(0.05), echoes(3)])
      const [{ sent, received }, { text }] = await Promise.all([
        stream(seconds),
        echoes(Math.ceil(seconds / ECHO_SECONDS)),
        a.must([program('traffic'), ...fresh]),
      ])
      const times = timesOf(text)
      return {
        besideLoss: (1 - received / sent) * 100,
        ...(times.length > 0 ? { besideRtt: quantile(times, 0.5), besideRttP99: quantile(times, 0.99) } : {}),
      }
    },
    seconds,
  )
}

export const LOADS = ['tcp', 'udp'] as const
export type Load = (typeof LOADS)[number]

/** Gives a set-up one kind of work, one TCP stream or small packets of one flow, for so long; tells how much was carried. */
export const carry = async (setup: Setup, load: Load, seconds: number): Promise<string> => {
  const { guests, address } = { guests: setup.site.guests, address: setup.site.address('b') }
  await ping(guests.a, address, { count: 3, interval: 0.05, wait: 5 })
  if (load === 'udp') {
    const { rate } = await counted(setup, PORT, ['send', address, String(PORT), String(seconds), '1', '0'])
    return `${(rate / 1000).toFixed(0)} thousand packets a second`
  }
  // iperf3 takes whole seconds.
  const amount = seconds < 1 ? { bytes: '64M' } : { seconds: Math.round(seconds) }
  const { rate } = await iperf(guests.a, guests.b, address, { ...amount, congestion: CONGESTION })
  return `${(rate / 1e9).toFixed(2)} Gbit/s`
}

/** What the set-up's processes need while nothing happens. To be asked when all of the scenario stand and are silent. */
export const idle = async (setups: readonly Setup[], seconds: number): Promise<Map<Setup, Figures>> => {
  const owned = setups.filter((setup) => pidsOf(setup).length > 0)
  const before = new Map(owned.map((setup) => [setup, cpuOf(pidsOf(setup))]))
  await delay(seconds * 1000)
  const figures = (setup: Setup): Figures => {
    const pids = pidsOf(setup)
    const share = (cpuOf(pids) - before.get(setup)!) / seconds / pids.length
    return { idle: share * 100, residentIdle: residentOf(pids) / pids.length / MEBI }
  }
  return new Map(owned.map((setup) => [setup, figures(setup)]))
}

/** What a set-up that is known to be partial does not carry is 0. */
const orNothing = async (setup: Setup, work: Promise<Figures>, nothing: Figures): Promise<Figures> => {
  try {
    return await work
  } catch (error) {
    if (setup.partial) return nothing
    throw new Error(`${setup.site.scenario.name}, ${setup.name}: ${error instanceof Error ? error.message : error}`)
  }
}

/** In the order in which it is done; what a set-up has that carries nothing. */
const WORKS: Readonly<Record<Work, { run(setup: Setup, effort: Effort): Promise<Figures>; nothing: Figures }>> = {
  tcp: { run: tcp, nothing: { tcp1: 0, tcp1r: 0, tcp4: 0, tcp4r: 0 } },
  udp: { run: udp, nothing: { udpPeak: 0, udpClean: 0, udp64Peak: 0, udp64Clean: 0 } },
  rtt: { run: roundTrip, nothing: {} },
  flows: { run: newFlows, nothing: {} },
  beside: { run: besideNewFlows, nothing: {} },
}

/** Measures one set-up once. */
export const measure = async (setup: Setup, effort: Effort): Promise<Figures> => {
  const warm = await ping(setup.site.guests.a, setup.site.address('b'), { count: 3, interval: 0.05, wait: 5 })
  if (!setup.partial && warm.received === 0)
    throw new Error(`${setup.site.scenario.name}, ${setup.name}: guests do not reach each other`)
  const figures: Figures = {}
  for (const work of WORK) {
    if (!effort.work.has(work)) continue
    const { run, nothing } = WORKS[work]
    Object.assign(figures, await orNothing(setup, run(setup, effort), nothing))
  }
  const pids = pidsOf(setup)
  if (pids.length > 0) figures.residentLoaded = residentOf(pids) / pids.length / MEBI
  return figures
}
