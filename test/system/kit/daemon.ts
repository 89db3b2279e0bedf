/** The switch as its users run it: a process of its own, a configuration file, a control socket. */
import { writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { callVerb } from '../../../src/control/client.ts'
import type { DpifReply, EswitchReply, FlowReply, OffloadReply, PortReply } from '../../../src/control/replies.ts'
import type { Running, RunResult } from './process.ts'
import { must, run } from './process.ts'
import type { Testbed } from './testbed.ts'

export const TAPSWITCH = fileURLToPath(new URL('../../../dist/cli/tapswitch.js', import.meta.url))

/** A configuration as data; `control` is filled in. JSON is YAML, so that tests need no emitter. */
export type ConfigData = Record<string, unknown>

export interface DaemonOptions {
  readonly args?: readonly string[]
  /** Options of Node.js. */
  readonly node?: readonly string[]
}

let daemons = 0

export class Daemon {
  readonly control: string
  readonly configPath: string
  readonly process: Running

  private constructor(control: string, configPath: string, process: Running) {
    this.control = control
    this.configPath = configPath
    this.process = process
  }

  /** Starts the switch and resolves when it says that it is ready. Rejects with its output when it ends instead. */
  static async start(bed: Testbed, config: ConfigData, options: DaemonOptions = {}): Promise<Daemon> {
    const name = `switch${daemons++}`
    const control = bed.path(`${name}.ctl`)
    const configPath = bed.path(`${name}.yaml`)
    writeFileSync(configPath, JSON.stringify({ control, ...config }, null, 2))
    const { args = [], node = [] } = options
    const running = bed.start([process.execPath, ...node, TAPSWITCH, 'run', '--config', configPath, ...args])
    const daemon = new Daemon(control, configPath, running)
    await running.until(/^ready: /m, 15_000)
    return daemon
  }

  get output(): string {
    return this.process.stdout + this.process.stderr
  }

  /** A verb's text. Rejects with the daemon's words when it refuses. */
  async verb(name: string, ...args: readonly string[]): Promise<string> {
    return String(await callVerb(this.control, name, args))
  }

  async data<T>(name: string, ...args: readonly string[]): Promise<T> {
    return (await callVerb(this.control, name, args, true)) as T
  }

  /** The same by Debian's client. */
  async appctl(...args: readonly string[]): Promise<string> {
    return must(['ovs-appctl', '-t', this.control, ...args])
  }

  /** A command of the CLI that talks to this switch. */
  async cli(...args: readonly string[]): Promise<string> {
    return must([process.execPath, TAPSWITCH, ...args], { env: { TAPSWITCH_CONTROL: this.control } })
  }

  flows(): Promise<FlowReply[]> {
    return this.data('offload/why')
  }

  /** Tier 2's and tier 3's counters at one moment. */
  async counters(): Promise<Counters> {
    const [dpif, ports, eswitches, offload] = await Promise.all([
      this.data<DpifReply>('dpif/show'),
      this.data<PortReply[]>('port/show'),
      this.data<EswitchReply[]>('eswitch/show'),
      this.data<OffloadReply>('offload/show'),
    ])
    return { dpif, ports, eswitches, offload }
  }

  async port(name: string): Promise<PortReply> {
    const port = (await this.data<PortReply[]>('port/show')).find((p) => p.name === name)
    if (!port) throw new Error(`the switch has no port ${name}`)
    return port
  }

  /** Every drop of every port, by reason; for the message of a failed expectation. */
  async drops(): Promise<Record<string, Record<string, number>>> {
    const ports = await this.data<PortReply[]>('port/show')
    return Object.fromEntries(ports.filter((p) => Object.keys(p.drops).length > 0).map((p) => [p.name, p.drops]))
  }

  /** Polls until `condition` holds; rejects with `what` and the last value after `timeout` ms. For states that no output announces. */
  async until<T>(what: string, read: () => Promise<T>, condition: (value: T) => boolean, timeout = 5000): Promise<T> {
    const deadline = Date.now() + timeout
    for (;;) {
      const value = await read()
      if (condition(value)) return value
      if (Date.now() > deadline)
        throw new Error(`${what}: not within ${timeout} ms; last: ${JSON.stringify(value, null, 1)}\n${this.output}`)
      await delay(20)
    }
  }

  /** SIGTERM, or another signal; resolves with its end. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<RunResult> {
    return this.process.stop(signal)
  }
}

export interface Counters {
  readonly dpif: DpifReply
  readonly ports: PortReply[]
  readonly eswitches: EswitchReply[]
  readonly offload: OffloadReply
}

/** TAP interfaces in a namespace (or the test's own): what a stopped switch must not leave. */
export const tapsIn = async (netns?: string): Promise<string[]> => {
  const argv = netns === undefined ? ['ip'] : ['ip', '-netns', netns]
  const { stdout } = await run([...argv, '-json', 'tuntap', 'show'])
  const links = JSON.parse(stdout.trim() === '' ? '[]' : stdout) as { ifname?: string }[]
  return links.flatMap((link) => (link.ifname === undefined ? [] : [link.ifname]))
}
