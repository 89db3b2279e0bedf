/**
 * A private ovs-vswitchd with the dummy datapath: the oracle of translation. Two bridges joined by a patch, br0 with p1 p2, br1 with p3 p4, LOCAL ports 100 and 101. Needs
 * neither root nor a kernel module.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { VlanSpec } from '../../../src/ofproto/vlan.ts'

const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/share/openvswitch/scripts`
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'

export const hasReference =
  existsSync(SCHEMA) && ['/usr/sbin/ovs-vswitchd', '/usr/bin/ovs-vswitchd'].some((path) => existsSync(path))

export interface Answer {
  readonly ok: boolean
  readonly text: string
}

const words = (text: string): string[] => text.split(' ')

export class ReferenceSwitch {
  readonly #dir = mkdtempSync(join(tmpdir(), 'ofproto-trace-'))
  readonly #env = { ...process.env, PATH, OVS_RUNDIR: this.#dir, OVS_LOGDIR: this.#dir, OVS_DBDIR: this.#dir }
  readonly #db = `unix:${this.#dir}/db.sock`

  /** `dummy`: 'override' for ports of all types, 'system' for those that stand for the system's alone: tunnels are real then. Throws, and leaves nothing behind, if it cannot. */
  start(dummy: 'override' | 'system' = 'override'): void {
    try {
      const daemon = (name: string): string[] => [
        `--unixctl=${this.#dir}/${name}.ctl`,
        `--pidfile=${this.#dir}/${name}.pid`,
        `--log-file=${this.#dir}/${name}.log`,
        ...words('--detach --no-chdir -vconsole:off'),
      ]
      this.#must('ovsdb-tool', ['create', `${this.#dir}/conf.db`, SCHEMA])
      this.#must('ovsdb-server', [`${this.#dir}/conf.db`, `--remote=p${this.#db}`, ...daemon('db')])
      this.vsctl('--no-wait init')
      this.vsctl('--no-wait set open . other_config:vlan-limit=2')
      this.#must('ovs-vswitchd', [this.#db, `--enable-dummy=${dummy}`, '--disable-system', ...daemon('vs')])
      const port = (bridge: number, no: number, ofport: number): string =>
        `-- add-port br${bridge} p${no} -- set interface p${no} type=dummy ofport_request=${ofport}`
      for (const i of [0, 1]) {
        const patch = `-- add-port br${i} patch${i} -- set interface patch${i} type=patch options:peer=patch${1 - i} ofport_request=3`
        this.vsctl(
          `add-br br${i} -- set bridge br${i} datapath_type=dummy fail_mode=secure ${port(i, 2 * i + 1, 1)} ${port(i, 2 * i + 2, 2)} ${patch}`,
        )
      }
    } catch (error) {
      this.stop()
      throw error
    }
  }

  stop(): void {
    for (const name of ['vs', 'db']) {
      const file = `${this.#dir}/${name}.pid`
      if (existsSync(file)) process.kill(Number(readFileSync(file, 'utf8')), 'SIGTERM')
    }
    rmSync(this.#dir, { recursive: true, force: true })
  }

  vsctl(command: string): void {
    this.#must('ovs-vsctl', [`--db=${this.#db}`, ...words(command)])
  }

  appctl(...args: string[]): Answer {
    return this.#run('ovs-appctl', ['-t', `${this.#dir}/vs.ctl`, ...args])
  }

  /** Replaces a bridge's rules by those of `rules` that are accepted; gives what it then holds, in its own words. */
  setRules(bridge: string, rules: readonly string[]): string[] {
    const target = `unix:${this.#dir}/${bridge}.mgmt`
    const ofctl = (...args: string[]): Answer => this.#run('ovs-ofctl', ['-O', 'OpenFlow13', ...args])
    ofctl('del-flows', target)
    for (const rule of rules) ofctl('add-flow', target, rule)
    const dump = ofctl('--no-stats', '--no-names', 'dump-flows', target)
    if (!dump.ok) throw new Error(dump.text)
    return dump.text.split('\n').filter((line) => line.includes('actions='))
  }

  /** Sets a port's VLANs anew. */
  setVlan(port: string, spec: VlanSpec): void {
    const options: string[] = []
    if (spec.tag !== undefined) options.push(`tag=${spec.tag}`)
    if (spec.trunks !== undefined) options.push(`trunks=${spec.trunks.join(',')}`)
    if (spec.cvlans !== undefined) options.push(`cvlans=${spec.cvlans.join(',')}`)
    if (spec.vlanMode !== undefined) options.push(`vlan_mode=${spec.vlanMode}`)
    if (spec.priorityTags !== undefined) options.push(`other_config:priority-tags=${spec.priorityTags}`)
    if (spec.qinqEthertype === 0x8100) options.push('other_config:qinq-ethtype=802.1q')
    const clear = ['tag', 'trunks', 'cvlans', 'vlan_mode', 'other_config'].map((c) => `-- clear port ${port} ${c}`)
    const set = options.length > 0 ? ` -- set port ${port} ${options.join(' ')}` : ''
    this.vsctl(`${clear.join(' ').slice(3)}${set}`)
  }

  #run(program: string, args: string[]): Answer {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env: this.#env, timeout: 15_000 })
    return { ok: status === 0, text: status === 0 ? stdout : `${stdout}${stderr}` }
  }

  #must(program: string, args: string[]): void {
    const answer = this.#run(program, args)
    if (!answer.ok) throw new Error(`${program} ${args.join(' ')}: ${answer.text}`)
  }
}
