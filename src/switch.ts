/**
 * One switch: the only place that wires the tiers. Owns every descriptor and every worker; `stop` gives all of it back, whatever state it is in. Main thread.
 *
 * Order of construction: arena, datapath worker, offload module over it, ofproto over that, eswitches, ports, bridges, control socket. A stop goes the other way.
 */
import { dirname } from 'node:path'
import { ConfigError, loadConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { VerbRegistry } from './control/registry.ts'
import { UnixctlServer } from './control/unixctl.ts'
import type { SwitchView } from './control/verbs/context.ts'
import { registerVerbs } from './control/verbs/index.ts'
import { type RunningDatapath, startDatapath } from './datapath/spawn.ts'
import { loadProfile } from './eswitch/profile-file.ts'
import type { Clock } from './lib/clock.ts'
import { Counters } from './lib/counters.ts'
import { errorText } from './lib/errors.ts'
import type { Log } from './lib/log.ts'
import { eventLoopScheduler } from './lib/scheduler.ts'
import { VERSION } from './lib/version.ts'
import { native } from './native/binding.ts'
import type { Namespace } from './netlink/namespace.ts'
import { OffloadModule } from './offload/module.ts'
import { Ofproto } from './ofproto/ofproto.ts'
import { TunnelMtu } from './ofproto/tunnel-mtu.ts'
import { Udpif } from './ofproto/udpif.ts'
import { setTunnelPorts } from './packet/slot.ts'
import { addressesUsable } from './switch/addresses.ts'
import { BridgeSet, type Outcome } from './switch/bridges.ts'
import { DropTotals, registerCoverage } from './switch/coverage.ts'
import { EswitchSet } from './switch/eswitches.ts'
import { Namespaces } from './switch/namespaces.ts'
import {
  type EswitchPlan,
  hasStackless,
  type Plan,
  type PortPlan,
  planOf,
  samePlan,
  tunnelUdpPorts,
} from './switch/plan.ts'
import { portReplies } from './switch/port-replies.ts'
import { PortTable, type SwitchPort } from './switch/ports.ts'
import { registerTunnelCoverage } from './switch/tunnel-coverage.ts'
import { Underlay } from './switch/underlay.ts'

/** Why a switch whose datapath worker ended by itself stops. */
export const DATAPATH_LOST = 'datapath lost'

export interface SwitchOptions {
  readonly clock: Clock
  readonly log: Log
  /** Read again by `reload`. */
  readonly configFile: string
  /** Called by the verb `exit`, and when the switch cannot go on. */
  readonly stop: (why: string) => void
}

const namespaceText = (netns: string | undefined): string =>
  netns === undefined ? "the switch's own namespace" : `namespace ${netns}`

/** Eswitches' heartbeats and the averages of counters are looked at so often. */
const TICK_MS = 400
/** The flow limit that a reload may raise to, unless the file asked for more at the start. */
const DEFAULT_FLOWS = 200_000
/** Eswitches that reloads may come to, unless the file has more at the start. */
const DEFAULT_ESWITCHES = 8

export class Switch {
  readonly #o: SwitchOptions
  readonly #log: Log
  readonly #datapath: RunningDatapath
  readonly #offload: OffloadModule
  readonly #ofproto: Ofproto
  readonly #udpif: Udpif
  readonly #eswitches: EswitchSet
  readonly #namespaces: Namespaces
  readonly #ports: PortTable
  readonly #bridges: BridgeSet
  readonly #coverage: Counters
  readonly #drops: DropTotals
  readonly #tunnelMtu: TunnelMtu
  #control: UnixctlServer | undefined
  /** There since the first tunnel port. */
  #underlay: Underlay | undefined
  /** The last one applied. */
  #config: Config | undefined
  #tick: NodeJS.Timeout | undefined
  /** Reloads happen one after the other. */
  #reloading: Promise<unknown> = Promise.resolve()

  private constructor(options: SwitchOptions, datapath: RunningDatapath) {
    this.#o = options
    this.#log = options.log
    const { clock } = options
    this.#datapath = datapath
    const { client } = datapath
    client.onWarning((text) => this.#log.warnLimited('datapath', { text }))
    this.#offload = new OffloadModule(client, {
      clock,
      scheduler: eventLoopScheduler,
      onError: (error) => this.#log.warnLimited('offload: work on flows failed', { error: errorText(error) }),
    })
    this.#ofproto = new Ofproto(clock)
    this.#udpif = new Udpif({ ofproto: this.#ofproto, dpif: this.#offload, clock, log: options.log })
    this.#namespaces = new Namespaces(
      (netns, error) => this.#log.warnLimited('rtnetlink', { netns, error: error.message }),
      (namespace, netns) => this.#namespaceGone(namespace, netns),
    )
    this.#eswitches = new EswitchSet({
      datapath: client,
      eventfd: datapath.eventfd,
      clock,
      log: this.#log,
      portDead: (no) => this.#ports.dead(no),
    })
    this.#ports = new PortTable({
      datapath: client,
      namespaces: this.#namespaces,
      eswitch: (name) => this.#eswitches.get(name),
      log: this.#log,
      changed: (port, previous) => this.#portChanged(port, previous?.mtu),
    })
    this.#bridges = new BridgeSet(this.#ofproto, (name) => this.#ports.get(name)?.no)
    this.#coverage = new Counters(clock)
    this.#drops = new DropTotals(
      () => this.#portStats(),
      () => this.#ports.highest,
    )
    registerCoverage(this.#coverage, client, this.#udpif, this.#drops)
    const { bytes, meta } = client.arena
    this.#tunnelMtu = new TunnelMtu({
      ofproto: this.#ofproto,
      dpif: this.#offload,
      clock,
      segment: (slot, out, lengths) => native.segment(bytes, meta, slot, out, lengths),
      onError: (error) => this.#log.warnLimited('a packet too big for a tunnel', { error: errorText(error) }),
    })
    registerTunnelCoverage(this.#coverage, this.#tunnelMtu, () => this.#underlay)
  }

  /** Resolves when the switch forwards and its control socket answers. Rejects with one clear Error; then nothing is left of it. */
  static async start(options: SwitchOptions, config: Config): Promise<Switch> {
    await UnixctlServer.mustBeFree(config.control)
    const datapath = await startDatapath({
      eswitches: Math.max(Object.keys(config.eswitches).length, DEFAULT_ESWITCHES),
      flows: Math.max(config.datapath['flow-limit'], DEFAULT_FLOWS),
      onDeath: (error) => {
        options.log.error('the datapath worker is lost', { error: error.message })
        options.stop(DATAPATH_LOST)
      },
    })
    const made = new Switch(options, datapath)
    try {
      await made.#start(config)
      return made
    } catch (error) {
      await made.stop()
      throw error
    }
  }

  async #start(config: Config): Promise<void> {
    this.#udpif.start()
    this.#tunnelMtu.start()
    const { failures } = await this.#apply(config)
    if (failures.length > 0) throw new Error(failures.join('; '))
    const registry = new VerbRegistry()
    registerVerbs(registry, this.#view(), VERSION)
    this.#control = await UnixctlServer.listen(config.control, registry, (verb, error) =>
      this.#log.error('verb failed', { verb, error: String((error as Error).stack ?? error) }),
    )
    this.#tick = setInterval(() => {
      this.#eswitches.check()
      this.#coverage.run()
    }, TICK_MS)
  }

  /** Resolves when the internal ports' addresses are usable, as far as they become so. */
  addressesUsable(): Promise<void> {
    return addressesUsable(this.#ports.all(), this.#log)
  }

  async stop(): Promise<void> {
    clearInterval(this.#tick)
    await this.#reloading.catch(() => {})
    await this.#control?.close()
    this.#udpif.stop()
    this.#offload.close()
    await this.#eswitches.stop()
    this.#underlay?.close()
    await this.#datapath.stop()
    this.#ports.closeAll()
    this.#namespaces.close()
  }

  /**
   * Reads the file again and applies what differs; tells what. Rejects, and changes nothing, if the file is bad. If a part of it cannot be applied (a port
   * that does not open, say), all others are; then it rejects with what failed, and the next reload goes on from what is there.
   */
  reload(): Promise<string[]> {
    const done = this.#reloading
      .catch(() => {})
      .then(async () => {
        const config = loadConfig(this.#o.configFile)
        const control = this.#config?.control
        if (config.control !== control)
          throw new ConfigError(`${this.#o.configFile}: control: it is ${control} and cannot be changed while running`)
        const { changes, failures } = await this.#apply(config)
        if (failures.length > 0) throw new Error([...failures, ...changes.map((text) => `done: ${text}`)].join('\n'))
        return changes
      })
    this.#reloading = done
    return done
  }

  /** Closes and takes out first, so that names are free; a failure stops nothing else. */
  async #apply(config: Config): Promise<Outcome> {
    const directory = dirname(this.#o.configFile)
    const next = planOf(config, (profile) => loadProfile(profile, directory))
    const changes: string[] = []
    const failures: string[] = []
    const attempt = async (step: () => Promise<string | undefined>): Promise<void> => {
      try {
        const change = await step()
        if (change !== undefined) changes.push(change)
      } catch (error) {
        failures.push((error as Error).message)
      }
    }
    changes.push(...this.#applySettings(config))

    const leaving = this.#eswitches.leaving(next.eswitches)
    const { closing, adjusting } = this.#ports.outdated(next.ports, leaving)
    changes.push(...this.#bridges.removeOutdated(next.bridges, closing))
    for (const name of closing) {
      const { no } = this.#ports.get(name)!
      this.#offload.portChanged(no)
      await this.#ports.remove(name)
      changes.push(`port ${name} closed`)
    }
    for (const name of leaving) {
      this.#offload.removeEswitch(name)
      const { memory } = this.#eswitches.get(name)
      await this.#eswitches.remove(name)
      this.#drops.retire(memory.portStats)
      changes.push(`eswitch ${name} removed`)
    }
    for (const plan of next.eswitches) if (!this.#eswitches.has(plan.name)) await attempt(() => this.#addEswitch(plan))
    for (const plan of adjusting)
      await attempt(async () => {
        await this.#ports.adjust(plan)
        return `port ${plan.name} changed`
      })
    for (const plan of next.ports) {
      // Of an eswitch that is not there: that has been told.
      if (plan.eswitch !== undefined && !this.#eswitches.has(plan.eswitch)) continue
      if (!this.#ports.get(plan.name)) await attempt(() => this.#addPort(plan))
    }
    for (const { gone, plan } of this.#ports.all())
      if (gone) changes.push(`port ${plan.name} is still gone: there is no namespace ${plan.netns}`)
    await attempt(() => this.#openTunnels(next))
    const bridges = this.#bridges.apply(next.bridges)
    await this.#closeTunnels()
    this.#config = config
    for (const port of this.#ports.all()) this.#portChanged(port, undefined)
    this.#underlay?.portsChanged()
    return { changes: [...changes, ...bridges.changes], failures: [...failures, ...bridges.failures] }
  }

  /** What was set at run time stays unless the file says something else than before. */
  #applySettings({ datapath, offload }: Config): string[] {
    const before = this.#config
    const changes: string[] = []
    if (before === undefined || !samePlan(before.datapath, datapath)) {
      this.#udpif.revalidator.maxIdle = datapath['max-idle']
      this.#offload.setFlowLimit(datapath['flow-limit'])
      changes.push('datapath: limits changed')
    }
    if (before === undefined || !samePlan(before.offload, offload)) {
      this.#offload.setPolicy(offload)
      changes.push(`offload: ${offload.enabled ? 'on' : 'off'}`)
    }
    return before === undefined ? [] : changes
  }

  /** What tunnel ports need before they are added: the mirror of their underlay, and a datapath port for each UDP port. */
  async #openTunnels(plan: Plan): Promise<string | undefined> {
    const wanted = tunnelUdpPorts(plan)
    if (wanted.size === 0 && !hasStackless(plan)) return undefined
    const opened = this.#underlay === undefined
    if (this.#underlay !== undefined && this.#underlay.netns !== plan.underlay)
      throw new Error(
        `underlay: tunnels follow the routes of ${namespaceText(this.#underlay.netns)}, which cannot be changed to ${namespaceText(plan.underlay)} while running`,
      )
    if (this.#underlay === undefined) {
      this.#underlay = await Underlay.open({
        ...(plan.underlay === undefined ? {} : { netns: plan.underlay }),
        namespaces: this.#namespaces,
        ports: () => this.#ports.all(),
        ofproto: this.#ofproto,
        dpif: this.#offload,
        clock: this.#o.clock,
        log: this.#log,
      })
      this.#ofproto.tunnels.use(this.#underlay.tunnels)
      this.#ofproto.tunnels.useStackless(this.#underlay.stackless)
      this.#offload.attachTunnels({
        view: this.#underlay.tunnels,
        mtu: (no) => this.#ports.mtu(no),
        preinstall: (key) => this.#udpif.preinstall(key),
      })
    }
    const { ports } = this.#ofproto.tunnels
    for (const udpPort of wanted)
      if (ports.dpPort(udpPort) === undefined) ports.setDpPort(udpPort, await this.#ports.addTunnel(udpPort))
    setTunnelPorts(this.#datapath.client.arena, this.#ports.tunnelUdpPorts())
    return opened ? `tunnels follow the routes of ${namespaceText(plan.underlay)}` : undefined
  }

  /** Datapath ports of UDP ports that no tunnel port uses any more. */
  async #closeTunnels(): Promise<void> {
    const { ports } = this.#ofproto.tunnels
    for (const udpPort of this.#ports.tunnelUdpPorts()) {
      if (ports.uses(udpPort)) continue
      ports.setDpPort(udpPort, undefined)
      await this.#ports.removeTunnel(udpPort)
    }
    setTunnelPorts(this.#datapath.client.arena, this.#ports.tunnelUdpPorts())
  }

  async #addPort(plan: PortPlan): Promise<string> {
    const port = await this.#ports.add(plan)
    this.#offload.portChanged(port.no)
    return `port ${plan.name} opened`
  }

  async #addEswitch(plan: EswitchPlan): Promise<string> {
    this.#offload.addEswitch(await this.#eswitches.add(plan))
    return `eswitch ${plan.name} added`
  }

  #portChanged(port: SwitchPort, mtuBefore: number | undefined): void {
    const member = this.#ofproto.portByDp(port.no)
    if (member) {
      member.linkUp = port.link?.up === true
      member.mtu = port.link?.mtu ?? member.mtu
      // Rules and learning go on as before; the threads that own the port drop its frames.
      member.flags.down = !port.adminUp
      member.bridge.setPortMac(
        member.name,
        port.link === undefined ? -1 : Number.parseInt(port.link.mac.replaceAll(':', ''), 16),
      )
    }
    this.#underlay?.internal.changed(port)
    if (mtuBefore !== undefined && port.link?.mtu !== mtuBefore) this.#offload.mtuChanged(port.no)
  }

  #namespaceGone(namespace: Namespace, netns: string): void {
    this.#log.warn('namespace is gone', { netns })
    for (const port of this.#ports.all()) if (port.hold?.namespace === namespace) this.#ports.dead(port.no)
  }

  *#portStats(): Generator<Float64Array> {
    yield this.#datapath.client.shared.portStats
    for (const { memory } of this.#eswitches.all()) yield memory.portStats
  }

  #view(): SwitchView {
    return {
      name: 'tapswitch@tapswitch',
      clock: this.#o.clock,
      ofproto: this.#ofproto,
      udpif: this.#udpif,
      dpif: this.#offload,
      offload: this.#offload,
      coverage: this.#coverage,
      ports: () =>
        portReplies(this.#ports, this.#ofproto, this.#datapath.client.shared.portStats, (name) =>
          this.#eswitches.get(name),
        ),
      restarts: (name) => this.#eswitches.get(name).restarts,
      failEswitch: (name, how) => {
        if (!this.#eswitches.get(name).fail(how)) throw new Error(`the worker of eswitch ${name} does not run`)
      },
      setPortAdmin: (port, up) => this.#ports.setAdmin(port, up),
      reload: () => this.reload(),
      stop: () => this.#o.stop('exit'),
      underlay: () => this.#underlay?.view(),
    }
  }
}
