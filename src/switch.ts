/**
 * One switch: the only place that wires the tiers. Owns every descriptor and every worker; `stop` gives all of it back, whatever state it is in. Main thread.
 *
 * Order of construction: arena, datapath worker, offload module over it, ofproto over that, eswitches, ports, bridges, control socket. A stop goes the other way.
 */
import { loadConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { VerbRegistry } from './control/registry.ts'
import { UnixctlServer } from './control/unixctl.ts'
import type { SwitchView } from './control/verbs/context.ts'
import { registerVerbs } from './control/verbs/index.ts'
import { type RunningDatapath, startDatapath } from './datapath/spawn.ts'
import { EswitchClient } from './eswitch/client.ts'
import { loadProfile } from './eswitch/profile-file.ts'
import { eswitchWorkers } from './eswitch/spawn.ts'
import type { Clock } from './lib/clock.ts'
import { Counters } from './lib/counters.ts'
import type { Log } from './lib/log.ts'
import { VERSION } from './lib/version.ts'
import { OffloadModule } from './offload/module.ts'
import { systemScheduler } from './offload/scheduler.ts'
import { Ofproto } from './ofproto/ofproto.ts'
import { Udpif } from './ofproto/udpif.ts'
import { BridgeSet } from './switch/bridges.ts'
import { registerCoverage } from './switch/coverage.ts'
import { Namespaces } from './switch/namespaces.ts'
import { type EswitchPlan, type Plan, planOf, samePlan } from './switch/plan.ts'
import { portReplies } from './switch/port-replies.ts'
import { PortTable, type SwitchPort } from './switch/ports.ts'
import { generateSwitchId } from './switch/switch-id.ts'

export interface SwitchOptions {
  readonly clock: Clock
  readonly log: Log
  /** Read again by `reload`. */
  readonly configFile: string
  /** Called by the verb `exit`, and when the switch cannot go on. */
  readonly stop: (why: string) => void
}

/** Eswitches' heartbeats and the averages of counters are looked at so often. */
const TICK_MS = 250
/** The flow limit that a reload may raise to, unless the file asked for more at the start. */
const DEFAULT_FLOWS = 200_000
const NO_PLAN: Plan = { eswitches: [], ports: [], bridges: [] }

export class Switch {
  readonly #o: SwitchOptions
  readonly #log: Log
  readonly #datapath: RunningDatapath
  readonly #offload: OffloadModule
  readonly #ofproto: Ofproto
  readonly #udpif: Udpif
  readonly #eswitches = new Map<string, EswitchClient>()
  readonly #namespaces: Namespaces
  readonly #ports: PortTable
  readonly #bridges: BridgeSet
  readonly #coverage: Counters
  #control: UnixctlServer | undefined
  #plan: Plan = NO_PLAN
  #controlPath = ''
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
    this.#offload = new OffloadModule(client, { clock, scheduler: systemScheduler })
    this.#ofproto = new Ofproto(clock)
    this.#udpif = new Udpif({ ofproto: this.#ofproto, dpif: this.#offload, clock })
    this.#namespaces = new Namespaces(
      (netns, error) => this.#log.warnLimited('rtnetlink', { netns, error: error.message }),
      (netns) => this.#namespaceGone(netns),
    )
    this.#ports = new PortTable({
      datapath: client,
      namespaces: this.#namespaces,
      eswitch: (name) => this.#eswitch(name),
      log: this.#log,
      changed: (port, previous) => this.#portChanged(port, previous?.mtu),
    })
    this.#bridges = new BridgeSet(this.#ofproto, (name) => this.#dpPortOf(name))
    this.#coverage = new Counters(clock)
    registerCoverage(this.#coverage, client, this.#udpif, () => this.#portStats())
  }

  /** Resolves when the switch forwards and its control socket answers. Rejects with one clear Error; then nothing is left of it. */
  static async start(options: SwitchOptions, config: Config): Promise<Switch> {
    const datapath = await startDatapath({
      flows: Math.max(config.datapath['flow-limit'], DEFAULT_FLOWS),
      onDeath: (error) => {
        options.log.error('the datapath worker is lost', { error: error.message })
        options.stop('datapath lost')
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
    await this.#apply(config)
    const registry = new VerbRegistry()
    registerVerbs(registry, this.#view(), VERSION)
    this.#control = await UnixctlServer.listen(config.control, registry, (verb, error) =>
      this.#log.error('verb failed', { verb, error: String((error as Error).stack ?? error) }),
    )
    this.#controlPath = config.control
    this.#tick = setInterval(() => {
      for (const eswitch of this.#eswitches.values()) eswitch.check()
      this.#coverage.run()
    }, TICK_MS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#tick)
    await this.#reloading.catch(() => {})
    await this.#control?.close()
    this.#udpif.stop()
    this.#offload.close()
    for (const eswitch of this.#eswitches.values())
      await eswitch.stop().catch((error: Error) => this.#log.error('eswitch does not stop', { error: error.message }))
    await this.#datapath.stop()
    this.#ports.closeAll()
    this.#namespaces.close()
  }

  /** Reads the file again and applies what differs; tells what. Rejects, and changes nothing, if the file is bad. */
  reload(): Promise<string[]> {
    const done = this.#reloading
      .catch(() => {})
      .then(() => {
        const config = loadConfig(this.#o.configFile)
        if (config.control !== this.#controlPath)
          throw new Error(`${this.#o.configFile}: control: ${this.#controlPath} cannot be changed while running`)
        return this.#apply(config)
      })
    this.#reloading = done
    return done
  }

  async #apply(config: Config): Promise<string[]> {
    const next = planOf(config)
    this.#udpif.revalidator.maxIdle = config.datapath['max-idle']
    this.#offload.setFlowLimit(config.datapath['flow-limit'])
    this.#offload.setPolicy(config.offload)
    const changes: string[] = []

    const stays = new Map(next.eswitches.map((plan) => [plan.name, plan]))
    const leaving = new Set(
      this.#plan.eswitches.filter((old) => !samePlan(old, stays.get(old.name) ?? {})).map((old) => old.name),
    )
    const wanted = new Map(next.ports.map((plan) => [plan.name, plan]))
    const closing = new Set<string>()
    for (const { plan } of this.#ports.all())
      if (!samePlan(plan, wanted.get(plan.name) ?? {}) || leaving.has(plan.eswitch ?? '')) closing.add(plan.name)

    changes.push(...this.#bridges.removeOutdated(next.bridges, closing))
    for (const name of closing) {
      const no = this.#ports.get(name)!.no
      this.#offload.portChanged(no)
      await this.#ports.remove(name)
      changes.push(`port ${name} closed`)
    }
    for (const name of leaving) {
      this.#offload.removeEswitch(name)
      await this.#eswitches.get(name)?.stop()
      this.#eswitches.delete(name)
      changes.push(`eswitch ${name} removed`)
    }
    for (const plan of next.eswitches)
      if (!this.#eswitches.has(plan.name)) {
        await this.#addEswitch(plan)
        changes.push(`eswitch ${plan.name} added`)
      }
    for (const plan of next.ports)
      if (!this.#ports.get(plan.name)) {
        const port = await this.#ports.add(plan)
        this.#offload.portChanged(port.no)
        changes.push(`port ${plan.name} opened`)
      }
    changes.push(...this.#bridges.apply(next.bridges))
    this.#plan = next
    for (const port of this.#ports.all()) this.#portChanged(port, undefined)
    return changes
  }

  async #addEswitch(plan: EswitchPlan): Promise<void> {
    const profile = loadProfile(plan.profile)
    const eswitch = new EswitchClient({
      name: plan.name,
      switchId: plan.switchId ?? generateSwitchId(plan.name),
      profile,
      datapath: this.#datapath.client,
      spawn: eswitchWorkers(plan.name, this.#datapath.eventfd),
      clock: this.#o.clock,
    })
    eswitch.onState((state) => {
      if (state === 'restarting')
        this.#log.warn('eswitch lost its worker; the datapath polls its ports', {
          eswitch: plan.name,
          why: eswitch.lastLoss,
        })
      else this.#log.info('eswitch', { eswitch: plan.name, state })
    })
    eswitch.onPortDead((no) => this.#ports.dead(no))
    await eswitch.start()
    this.#eswitches.set(plan.name, eswitch)
    this.#offload.addEswitch(eswitch)
  }

  #eswitch(name: string): EswitchClient {
    const eswitch = this.#eswitches.get(name)
    if (eswitch === undefined) throw new Error(`no eswitch ${name}`)
    return eswitch
  }

  #dpPortOf(name: string): number {
    const port = this.#ports.get(name)
    if (port === undefined) throw new Error(`port ${name} is not open`)
    return port.no
  }

  #portChanged(port: SwitchPort, mtuBefore: number | undefined): void {
    const member = this.#ofproto.portByDp(port.no)
    if (member) {
      member.linkUp = port.link?.up === true
      member.mtu = port.link?.mtu ?? member.mtu
      const down = !port.adminUp
      if (member.flags.down !== down)
        member.bridge.setPortFlags(member.name, { down, noForward: down, noReceive: down })
    }
    if (mtuBefore !== undefined && port.link?.mtu !== mtuBefore) this.#offload.raise('mtu-change')
  }

  #namespaceGone(netns: string): void {
    this.#log.warn('namespace is gone', { netns })
    for (const port of this.#ports.all()) if (port.plan.netns === netns) this.#ports.dead(port.no)
  }

  *#portStats(): Generator<Float64Array> {
    yield this.#datapath.client.shared.portStats
    for (const eswitch of this.#eswitches.values()) yield eswitch.memory.portStats
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
        portReplies(this.#ports, this.#ofproto, this.#datapath.client.shared.portStats, (name) => this.#eswitch(name)),
      restarts: (name) => this.#eswitch(name).restarts,
      setPortAdmin: (port, up) => this.#ports.setAdmin(port, up),
      reload: () => this.reload(),
      stop: () => this.#o.stop('exit'),
    }
  }
}
