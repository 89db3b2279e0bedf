/**
 * The rows of the table of neighbour states that Linux is said to share (test/unit/tunnel/nud-table.ts), held against Linux: a namespace whose neighbours, behind a cable, say
 * what the rows want, and nothing else.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addressBytes, addressText } from '../../../src/flow/address.ts'
import { readNeighbourFrame } from '../../../src/tunnel/own-neighbours-frames.ts'
import { macText } from '../../../src/tunnel/way-look.ts'
import { A, B, spoken } from '../../unit/tunnel/nud-kit.ts'
import { NUD_TABLE, type Row, type State } from '../../unit/tunnel/nud-table.ts'
import { Capture } from '../kit/capture.ts'
import { needKernel } from '../kit/kernel.ts'
import { sendFrames } from '../kit/scapy.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { ipBatch } from '../kit/underlay.ts'

const ROWS = NUD_TABLE.filter(({ kernel }) => kernel)
const HOST = Uint8Array.of(2, 0, 0, 0, 0x74, 1)
const ours = (link: 0 | 1) => ({
  mac: HOST,
  4: addressBytes(`192.168.${link}.1`)!,
  6: addressBytes(`fd00:${link}::1`)!,
})
const peer = (link: 0 | 1, n: number) => ({
  4: addressBytes(`192.168.${link}.${n}`)!,
  6: addressBytes(`fd00:${link}::${n.toString(16)}`)!,
})

/**
 * On eth0 nothing happens by itself before the test is over; on eth1 everything does, soon. What was used less than delay_first_probe_time ago does not grow stale in Linux, but
 * is delayed at once.
 */
const TIMES = {
  eth0: { base_reachable_time_ms: 60_000, delay_first_probe_time: 60, retrans_time_ms: 10_000 },
  eth1: { base_reachable_time_ms: 2400, delay_first_probe_time: 1, retrans_time_ms: 200 },
}
const SOLICITS = { mcast_solicit: 3, ucast_solicit: 3, mcast_resolicit: 3, gc_stale_time: 600 }

let bed: Testbed
let host: Guest
let far: Guest

interface Entry {
  readonly dst: string
  readonly lladdr?: string
  readonly state: readonly State[]
}

interface Seen {
  readonly state: State
  readonly lladdr: string | undefined
}

const entries = async (addresses: readonly Uint8Array[]): Promise<Seen[]> => {
  const all = JSON.parse(await host.must(['ip', '-json', 'neigh', 'show', 'nud', 'all'])) as Entry[]
  return addresses.map((address) => {
    const found = all.find(({ dst }) => dst === addressText(address))
    return { state: found?.state[0] ?? 'NONE', lladdr: found?.lladdr }
  })
}

/** Brings an entry to a state. DELAY that is set, and not come to by use, is over at once. */
const setLines = (link: string, address: Uint8Array, state: State): string[] => {
  const base = `${addressText(address)} dev ${link}`
  const known = (nud: string): string => `neigh add ${base} lladdr ${macText(A)} nud ${nud}`
  switch (state) {
    case 'NONE':
      return []
    case 'INCOMPLETE':
      return [`neigh add ${base} use`]
    case 'FAILED':
      return [`neigh add ${base} nud failed`]
    case 'DELAY':
      return [known('stale'), `neigh change ${base} use`]
    default:
      return [known(state.toLowerCase())]
  }
}

beforeAll(async () => {
  bed = new Testbed()
  ;({ host, far } = await bed.guests('host', 'far'))
  for (const scope of ['all', 'default']) await far.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 1)
  for (const [i, link] of (['eth0', 'eth1'] as const).entries()) {
    await ipBatch(host, [`link add ${link} address ${macText(HOST)} type veth peer name p${i} netns ${far.netns}`])
    for (const [key, value] of Object.entries({ ...TIMES[link], ...SOLICITS }))
      for (const version of ['ipv4', 'ipv6']) await host.sysctl(`net.${version}.neigh.${link}.${key}`, value)
    // Of IPv4 alone: an address that was just learned is not given up for some time.
    await host.sysctl(`net.ipv4.neigh.${link}.locktime`, 0)
    await far.must(['ip', 'link', 'set', `p${i}`, 'up'])
    const { 4: four, 6: six } = ours(i as 0 | 1)
    await host.address(link, `${addressText(four)}/24`, `${addressText(six)}/64`)
  }
})
afterAll(() => bed?.close())

const isOfNdOnly = ({ event }: Row): boolean => event.includes('weak') || event.includes('bare')

const isKnown = (state: State): boolean => state !== 'INCOMPLETE' && state !== 'FAILED'

describe.each([4, 6] as const)('Linux over IPv%i', (version) => {
  const rows = ROWS.filter(
    (row) =>
      row.event !== 'timer' &&
      (version === 6 || (row.version !== 6 && !isOfNdOnly(row))) &&
      // Advertisements are not for those that have failed; gratuitous ARP is.
      !(version === 6 && row.state === 'FAILED' && row.event.startsWith('told')),
  )

  /** An answer by neighbour discovery is a packet like any other, by which Linux uses what it has just learned. */
  const after = ({ event, next }: Row): State =>
    version === 6 && event.startsWith('asks') && next === 'STALE' ? 'DELAY' : next

  it(`does what the table says of ${rows.length} events`, async (context) => {
    await needKernel(context, 'veth')
    const at = (i: number): ReturnType<typeof peer> => peer(0, 10 + i)
    const marker = peer(0, 250)
    await ipBatch(host, [
      ...rows.flatMap(({ state }, i) => setLines('eth0', at(i)[version], state)),
      ...setLines('eth0', marker[version], 'STALE'),
    ])
    await ipBatch(
      host,
      rows.flatMap(({ event, state }, i) => {
        const verb = state === 'NONE' ? 'add' : 'change'
        return event === 'use' ? [`neigh ${verb} ${addressText(at(i)[version])} dev eth0 use`] : []
      }),
    )
    const frames = rows.flatMap(({ event }, i) => {
      if (event === 'use') return []
      const [kind, ...words] = event.split(' ') as ['answer' | 'told' | 'asks', ...string[]]
      const how = words[0] === 'weak' || words[0] === 'bare' ? words[0] : 'plain'
      return [spoken(version, kind, event.endsWith('B') ? B : A, how, { ours: ours(0), peer: at(i) })]
    })
    const last = spoken(version, 'told', B, 'plain', { ours: ours(0), peer: marker })
    await sendFrames(far, 'p0', [...frames, last])
    // What comes after all has come.
    await expect.poll(() => entries([marker[version]])).toMatchObject([{ lladdr: macText(B) }])
    const seen = await entries(rows.map((_, i) => at(i)[version]))
    expect(rows.map((row, i) => `${row.state} + ${row.event} -> ${seen[i]!.state} ${seen[i]!.lladdr ?? ''}`)).toEqual(
      rows.map(
        (row) =>
          `${row.state} + ${row.event} -> ${after(row)} ${isKnown(row.next) ? macText(row.at === 'B' ? B : A) : ''}`,
      ),
    )
  })

  /** What the table says that happens without any event, from a state on: states and requests. */
  const course = (from: State): { states: State[]; sends: string[] } => {
    const states: State[] = [from]
    const sends: string[] = []
    let sent = 1
    for (let state = from; ; ) {
      const row = ROWS.filter((one) => one.state === state && one.event === 'timer' && (one.sent ?? 1) <= sent).at(-1)
      if (!row) return { states, sends }
      sent = row.next === state ? sent + 1 : 1
      if (row.send) sends.push(row.send)
      if (row.next !== state) states.push(row.next)
      state = row.next
    }
  }

  it('lets entries take the course that the table says, with its requests', async (context) => {
    await needKernel(context, 'veth')
    const starts = (['INCOMPLETE', 'REACHABLE', 'DELAY'] as const).map((state, i) => ({
      state,
      address: peer(1, 10 + i)[version],
      ...course(state),
    }))
    const addresses = starts.map(({ address }) => address)
    const capture = await Capture.start(bed, far, 'p1', { direction: 'in' })
    await ipBatch(
      host,
      starts.flatMap(({ state, address }) => setLines('eth1', address, state)),
    )
    const seen: State[][] = starts.map(() => [])
    const note = async (): Promise<State[][]> => {
      for (const [i, { state }] of (await entries(addresses)).entries())
        if (seen[i]!.at(-1) !== state) seen[i]!.push(state)
      return seen
    }
    await expect.poll(note, { interval: 20, timeout: 6000 }).toEqual(starts.map(({ states }) => states))
    const heard = (await capture.stop()).map(({ bytes }) => readNeighbourFrame(bytes, false))
    for (const { state, address, sends } of starts) {
      const requests = heard.filter((one) => one?.asks && addressText(one.target) === addressText(address))
      expect(
        requests.map((one) => ((one!.ethDst[0]! & 1) === 0 ? 'unicast' : 'broadcast')),
        state,
      ).toEqual(state === 'INCOMPLETE' ? ['broadcast', ...sends] : sends)
    }
  })
})
