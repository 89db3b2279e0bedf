/** The switch's eswitches: they come and go as the plan says. A worker that is lost is replaced (eswitch/client.ts); of that the log tells. Main thread. */
import type { DatapathClient } from '../datapath/client.ts'
import { EswitchClient } from '../eswitch/client.ts'
import { eswitchWorkers } from '../eswitch/spawn.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import { type EswitchPlan, samePlan } from './plan.ts'
import { generateSwitchId } from './switch-id.ts'

export interface EswitchSetOptions {
  readonly datapath: DatapathClient
  /** Signals the datapath's worker. */
  readonly eventfd: number
  readonly clock: Clock
  readonly log: Log
  /** A port's descriptor is dead. */
  readonly portDead: (no: number) => void
}

export class EswitchSet {
  readonly #o: EswitchSetOptions
  readonly #members = new Map<string, { readonly plan: EswitchPlan; readonly client: EswitchClient }>()

  constructor(options: EswitchSetOptions) {
    this.#o = options
  }

  has(name: string): boolean {
    return this.#members.has(name)
  }

  /** Throws when there is none of that name. */
  get(name: string): EswitchClient {
    const member = this.#members.get(name)
    if (member === undefined) throw new Error(`no eswitch ${name}`)
    return member.client
  }

  *all(): Generator<EswitchClient> {
    for (const { client } of this.#members.values()) yield client
  }

  /** Names of those that are not wanted any more as they are. */
  leaving(wanted: readonly EswitchPlan[]): Set<string> {
    const plans = new Map(wanted.map((plan) => [plan.name, plan]))
    const leaving = [...this.#members].filter(([name, { plan }]) => !samePlan(plan, plans.get(name) ?? {}))
    return new Set(leaving.map(([name]) => name))
  }

  /** Resolves when its worker runs. Rejects with one clear Error; then nothing is left of it. */
  async add(plan: EswitchPlan): Promise<EswitchClient> {
    const { datapath, eventfd, clock } = this.#o
    const client = new EswitchClient({
      name: plan.name,
      switchId: plan.switchId ?? generateSwitchId(plan.name),
      profile: plan.profile,
      datapath,
      spawn: eswitchWorkers(plan.name, eventfd),
      clock,
    })
    client.onPortDead(this.#o.portDead)
    try {
      await client.start()
    } catch (error) {
      await client.stop().catch(() => {})
      throw new Error(`eswitch ${plan.name}: ${(error as Error).message}`, { cause: error })
    }
    this.#tellOf(client)
    this.#members.set(plan.name, { plan, client })
    return client
  }

  /** Its ports are let go. Rejects when its thread does not end. */
  async remove(name: string): Promise<void> {
    const { client } = this.#members.get(name)!
    await client.stop()
    this.#members.delete(name)
  }

  /** Looks at their heartbeats. Called a few times a second. */
  check(): void {
    for (const { client } of this.#members.values()) client.check()
  }

  async stop(): Promise<void> {
    for (const { client } of this.#members.values())
      await client.stop().catch((error: Error) => this.#o.log.error('eswitch does not stop', { error: error.message }))
  }

  #tellOf(client: EswitchClient): void {
    const { log } = this.#o
    client.onState((state) => {
      if (state === 'restarting')
        log.warn('eswitch lost its worker; the datapath polls its ports', {
          eswitch: client.name,
          why: client.lastLoss,
        })
      else if (state === 'running') log.info('eswitch is back', { eswitch: client.name })
    })
  }
}
