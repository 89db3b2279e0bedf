/** Verbs of tier 2 and of its upkeep, with OVS's names and texts: dpif/show, dpctl/dump-flows, upcall/show, revalidator/*. */
import type { DpFlow, DpifCounters } from '../../datapath/contract.ts'
import { addressText } from '../../flow/address.ts'
import { OFPP_LOCAL } from '../../flow/ofp.ts'
import type { Bridge } from '../../ofproto/bridge.ts'
import type { Port } from '../../ofproto/port.ts'
import { VXLAN_PORT } from '../../packet/vxlan.ts'
import type { TunnelConfig } from '../../tunnel/contract.ts'
import { VerbError, type VerbRegistry, type VerbReply } from '../registry.ts'
import type { DpifReply } from '../replies.ts'
import { bridgeOf, type SwitchView } from './context.ts'
import { flowLine, flowReply } from './flow-rows.ts'

const counters = (view: SwitchView): DpifCounters => {
  const out: DpifCounters = {
    frames: 0,
    cacheHits: 0,
    flowHits: 0,
    misses: 0,
    upcalls: 0,
    masks: 0,
    maskHits: 0,
    flows: 0,
  }
  view.dpif.counters(out)
  return out
}

/** Frames that tier 1 should have answered and never saw, of all ports that there have been. */
const lost = (view: SwitchView): number =>
  view.coverage.total('drop_upcall_limit') + view.coverage.total('drop_upcall_park_full')

const dpNumber = (view: SwitchView, port: Port): number => view.ofproto.tunnels.ingress(port)

const typeOf = (view: SwitchView, port: Port): string => {
  if (port.kind === 'patch') return `patch: peer=${port.peer}`
  if (port.tunnel !== null) return `vxlan: ${tunnelText(port.tunnel)}`
  const dp = view.dpif.port(port.dpPort)
  return dp?.eswitch !== undefined ? `representor: eswitch=${dp.eswitch}` : (dp?.kind ?? 'gone')
}

/** The options that are not as by default, in the order of the alphabet, as Open vSwitch prints them. */
const tunnelText = (t: TunnelConfig): string => {
  const address = (value: Uint8Array | 'flow'): string => (value === 'flow' ? value : addressText(value))
  const options: readonly (readonly [string, string | undefined])[] = [
    ['csum', t.csum?.toString()],
    ['df_default', t.df ? undefined : 'false'],
    ['dst_port', t.dstPort === VXLAN_PORT ? undefined : String(t.dstPort)],
    ['key', t.key?.toString()],
    ['local_ip', t.local === undefined ? undefined : address(t.local)],
    ['remote_ip', address(t.remote)],
    ['tos', t.tos === 0 ? undefined : String(t.tos)],
    ['ttl', t.ttl === 64 ? undefined : String(t.ttl)],
  ]
  return options.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])).join(', ')
}

const dpifReply = (view: SwitchView, bridges: Iterable<Bridge>): DpifReply => {
  const c = counters(view)
  return {
    name: view.name,
    hits: c.cacheHits + c.flowHits,
    misses: c.misses,
    frames: c.frames,
    flows: view.dpif.flowCount,
    bridges: [...bridges].map((bridge) => ({
      name: bridge.name,
      ports: [...bridge.ports()]
        .sort((a, b) => Number(b.no === OFPP_LOCAL) - Number(a.no === OFPP_LOCAL) || a.no - b.no)
        .map((port) => ({
          name: port.name,
          ofport: port.no,
          ...(dpNumber(view, port) >= 0 ? { no: dpNumber(view, port) } : {}),
          type: typeOf(view, port),
        })),
    })),
  }
}

const showText = (reply: DpifReply): string => {
  const lines = [`${reply.name}: hit:${reply.hits} missed:${reply.misses}`]
  for (const bridge of reply.bridges) {
    lines.push(`  ${bridge.name}:`)
    for (const port of bridge.ports) lines.push(`    ${port.name} ${port.ofport}/${port.no ?? 'none'}: (${port.type})`)
  }
  return `${lines.join('\n')}\n`
}

interface DumpArgs {
  verbose: boolean
  /** undefined: as OVS, names in a verbose dump and numbers in a terse one. */
  names: boolean | undefined
  offloaded: boolean | undefined
  bridge: Bridge | undefined
}

const TYPES: ReadonlyMap<string, boolean | undefined> = new Map([
  ['all', undefined],
  ['tapswitch', undefined],
  ['offloaded', true],
  ['non-offloaded', false],
])

const parseDumpArgs = (view: SwitchView, args: readonly string[]): DumpArgs => {
  const out: DumpArgs = { verbose: false, names: undefined, offloaded: undefined, bridge: undefined }
  for (const arg of args) {
    if (arg === '-m' || arg === '--more') out.verbose = true
    else if (arg === '--names') out.names = true
    else if (arg === '--no-names') out.names = false
    else if (arg.startsWith('type=')) {
      if (!TYPES.has(arg.slice(5))) throw new VerbError(`${arg}: one of ${[...TYPES.keys()].join(', ')} expected`)
      out.offloaded = TYPES.get(arg.slice(5))
    } else if (arg === view.name) continue
    else throw new VerbError(`${arg}: "-m", "--names", "type=TYPE" or the datapath's name ${view.name} expected`)
  }
  return out
}

/** A tunnel's flow is of the bridge of the tunnel port; of no bridge when no port takes its packets. */
const isOf = (view: SwitchView, flow: DpFlow, bridge: Bridge): boolean => {
  const port = view.ofproto.receiver(flow.match.key)
  return typeof port === 'object' && port.bridge === bridge
}

const dump = (view: SwitchView, args: DumpArgs): VerbReply => {
  const lines: string[] = []
  const json: unknown[] = []
  const { verbose, names = verbose, bridge } = args
  const options = { verbose, names, layers: bridge === undefined }
  for (const { flow, verdict } of view.offload.list()) {
    if (args.offloaded !== undefined && args.offloaded !== (verdict.state === 'offloaded')) continue
    if (args.bridge !== undefined && !isOf(view, flow, args.bridge)) continue
    lines.push(`${flowLine(view, flow, verdict, options)}\n`)
    json.push(flowReply(view, flow, verdict, options))
  }
  return { text: lines.join(''), json }
}

export const registerDatapathVerbs = (registry: VerbRegistry, view: SwitchView): void => {
  registry.register('dpif/show', '[BRIDGE]', 0, 1, ([name]) => {
    const bridges = name === undefined ? view.ofproto.bridges() : [bridgeOf(view, name)]
    const reply = dpifReply(view, bridges)
    return { text: showText(reply), json: reply }
  })

  registry.register('dpif/dump-flows', '[-m] [--names | --no-names] BRIDGE', 1, 3, (args) => {
    const name = args.at(-1)!
    return dump(view, { ...parseDumpArgs(view, args.slice(0, -1)), bridge: bridgeOf(view, name) })
  })

  registry.register('dpctl/dump-flows', '[-m] [--names | --no-names] [type=TYPE] [DP]', 0, 4, (args) =>
    dump(view, parseDumpArgs(view, args)),
  )

  registry.register('dpctl/show', '', 0, 1, () => {
    const c = counters(view)
    const lookups = c.cacheHits + c.flowHits + c.misses
    const upcallsLost = lost(view)
    const lines = [
      `${view.name}:`,
      `  lookups: hit:${c.cacheHits + c.flowHits} missed:${c.misses} lost:${upcallsLost}`,
      `  flows: ${c.flows}`,
      `  masks: hit:${c.maskHits} total:${c.masks} hit/pkt:${(lookups === 0 ? 0 : c.maskHits / lookups).toFixed(2)}`,
      `  cache: hit:${c.cacheHits}`,
    ]
    for (const port of view.dpif.ports()) lines.push(`  port ${port.no}: ${port.name} (${port.kind})`)
    return { text: `${lines.join('\n')}\n`, json: { ...c, lost: upcallsLost, ports: [...view.dpif.ports()] } }
  })

  registry.register('upcall/show', '', 0, 0, () => {
    const s = view.udpif.status()
    const text =
      `${view.name}:\n` +
      `  flows         : (current ${s.flows}) (avg ${Math.round(s.avgFlows)}) (max ${s.maxFlows}) (limit ${s.flowLimit})\n` +
      `  offloaded flows : ${view.offload.summary().offloaded}\n` +
      `  dump duration : ${Math.round(s.dumpDuration)}ms\n` +
      `  ufid enabled : true\n\n` +
      `  main: (keys ${s.flows})\n` +
      `  upcalls: ${Object.entries(s.upcalls)
        .map(([name, n]) => `${name}:${n}`)
        .join(' ')}\n`
    return { text, json: s }
  })

  registry.register('revalidator/purge', '', 0, 0, () => {
    view.udpif.purge()
    return { text: '' }
  })

  registry.register('revalidator/wait', '', 0, 0, async () => {
    await view.underlay()?.settled()
    await view.udpif.settled()
    // What it found of bridges has tunnels' ways looked along anew.
    await view.underlay()?.settled()
    await view.dpif.barrier()
    return { text: '' }
  })
}
