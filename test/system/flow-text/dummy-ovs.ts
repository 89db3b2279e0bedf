/**
 * A private ovs-vswitchd with the dummy datapath, in a directory of its own: the oracle of dpctl's syntax. Needs neither root nor a kernel module.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/share/openvswitch/scripts`
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
const DATAPATH = 'dummy@ovs-dummy'

export const hasVswitchd =
  existsSync(SCHEMA) && ['/usr/sbin/ovs-vswitchd', '/usr/bin/ovs-vswitchd'].some((path) => existsSync(path))

export interface Answer {
  readonly ok: boolean
  readonly text: string
}

export class DummyOvs {
  private readonly dir = mkdtempSync(join(tmpdir(), 'flow-text-'))
  private readonly env = { ...process.env, PATH, OVS_RUNDIR: this.dir, OVS_LOGDIR: this.dir, OVS_DBDIR: this.dir }

  /** Starts both daemons, and a bridge br0 with ports p1 (1) and p2 (2). Throws, and leaves nothing behind, if it cannot. */
  start(): void {
    try {
      const db = `unix:${this.dir}/db.sock`
      const daemon = (name: string): string[] => [
        `--unixctl=${this.dir}/${name}.ctl`,
        `--pidfile=${this.dir}/${name}.pid`,
        `--log-file=${this.dir}/${name}.log`,
        '--detach',
        '--no-chdir',
        '-vconsole:off',
      ]
      this.must('ovsdb-tool', ['create', `${this.dir}/conf.db`, SCHEMA])
      this.must('ovsdb-server', [`${this.dir}/conf.db`, `--remote=p${db}`, ...daemon('db')])
      this.must('ovs-vsctl', [`--db=${db}`, '--no-wait', 'init'])
      this.must('ovs-vsctl', [`--db=${db}`, '--no-wait', 'set', 'open', '.', 'other_config:vlan-limit=2'])
      this.must('ovs-vswitchd', [db, '--enable-dummy=override', '--disable-system', ...daemon('vs')])
      const port = (n: number): string[] =>
        `-- add-port br0 p${n} -- set interface p${n} type=dummy ofport_request=${n}`.split(' ')
      const bridge = 'add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure'.split(' ')
      this.must('ovs-vsctl', [`--db=${db}`, ...bridge, ...port(1), ...port(2)])
    } catch (error) {
      this.stop()
      throw error
    }
  }

  stop(): void {
    for (const name of ['vs', 'db']) {
      const file = `${this.dir}/${name}.pid`
      if (existsSync(file)) process.kill(Number(readFileSync(file, 'utf8')), 'SIGTERM')
    }
    rmSync(this.dir, { recursive: true, force: true })
  }

  appctl(...args: string[]): Answer {
    return this.run('ovs-appctl', ['-t', `${this.dir}/vs.ctl`, ...args])
  }

  /** Replaces all OpenFlow rules of br0. */
  rules(...rules: string[]): void {
    const bridge = `unix:${this.dir}/br0.mgmt`
    this.must('ovs-ofctl', ['-O', 'OpenFlow13', 'del-flows', bridge])
    for (const rule of rules) this.must('ovs-ofctl', ['-O', 'OpenFlow13', 'add-flow', bridge, rule])
  }

  ofctl(...args: string[]): Answer {
    return this.run(
      'ovs-ofctl',
      args.map((arg) => (arg === 'br0' ? `unix:${this.dir}/br0.mgmt` : arg)),
    )
  }

  /** Puts one flow into the empty datapath and says how it is dumped. */
  addAndDump(key: string, actions: string, verbose: boolean): Answer {
    // ovs-vswitchd may remove a flow that it did not put there, at any time: then once more.
    for (let attempt = 0; attempt < 10; attempt++) {
      this.clear()
      const added = this.appctl('dpctl/add-flow', DATAPATH, key, actions)
      if (!added.ok) return added
      const dump = this.dump(verbose)
      if (dump.length > 0) return { ok: true, text: dump.join('\n') }
    }
    return { ok: false, text: 'the flow does not stay' }
  }

  /** Lines of dpctl/dump-flows, without what says how they were collected. */
  dump(verbose: boolean): string[] {
    const answer = this.appctl('dpctl/dump-flows', ...(verbose ? ['-m'] : []), DATAPATH)
    return answer.text.split('\n').filter((line) => line.includes('actions:'))
  }

  clear(): void {
    this.appctl('dpctl/del-flows', DATAPATH)
  }

  private run(program: string, args: string[]): Answer {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env: this.env, timeout: 15_000 })
    return { ok: status === 0, text: status === 0 ? stdout : `${stdout}${stderr}` }
  }

  private must(program: string, args: string[]): void {
    const answer = this.run(program, args)
    if (!answer.ok) throw new Error(`${program} ${args.join(' ')}: ${answer.text}`)
  }
}
