/** The one program: `run` is the daemon, every other verb talks to its control socket. */
import { Command } from 'commander'
import { ControlError } from '../control/client.ts'
import { parseNiceness } from '../lib/niceness.ts'
import { flows, why } from './flows.ts'
import { listLabs, runLab } from './lab.ts'
import { show } from './show.ts'
import { fetchData, fetchText } from './socket.ts'
import { printJson } from './table.ts'

interface Common {
  control?: string
  json?: boolean
}

const program = new Command('tapswitch')
  .description('A flow-based Ethernet switch in user space with an emulated SR-IOV eswitch.')
  .enablePositionalOptions()
  .showHelpAfterError('(tapswitch --help lists the commands)')

/** A verb that talks to a running switch. */
const client = (name: string, description: string): Command =>
  program
    .command(name)
    .description(description)
    .option('-c, --control <path>', 'control socket (default: $TAPSWITCH_CONTROL, or the only one in /run/tapswitch)')
    .option('--json', 'print data instead of text')

program
  .command('run')
  .description('run the switch in the foreground until SIGINT or SIGTERM; SIGHUP re-reads the file')
  .requiredOption('--config <file>', 'configuration file (YAML)')
  .option('--check', 'only check the configuration')
  .option('--log-level <level>', 'trace, debug, info, warn, error', 'info')
  .option(
    '--nice <n>',
    'niceness of the switch, -20..19 (default: -4, unless it is started with another than 0)',
    parseNiceness,
  )
  .action(async (options: { config: string; check?: boolean; logLevel: string; nice?: number }) => {
    const { main } = await import('../main.ts')
    await main(options)
  })

client('show', 'the switch at a glance: ports, eswitches, counters').action(async (o: Common) =>
  show(o.control, o.json === true),
)

client('flows [filters...]', 'cached flows with statistics and where they run')
  .addHelpText('after', '\nFilters: type=offloaded, type=non-offloaded')
  .action(async (filters: string[], o: Common) => flows(o.control, filters, o.json === true))

client('why [ufid]', 'for each flow (or one, by the beginning of its ufid): why it is or is not offloaded').action(
  async (ufid: string | undefined, o: Common) => why(o.control, ufid, o.json === true),
)

client('rules <bridge> [match]', 'OpenFlow rules of a bridge, in ovs-ofctl syntax').action(
  async (bridge: string, match: string | undefined, o: Common) => {
    const args = match === undefined ? [bridge] : [bridge, match]
    if (o.json) printJson(await fetchData(o.control, 'flow/dump', args))
    else process.stdout.write(await fetchText(o.control, 'flow/dump', args))
  },
)

client('trace <bridge> <flow>', 'what would happen to a packet: rules, datapath actions, and the eswitch verdict')
  .addHelpText(
    'after',
    '\nExample: tapswitch trace br-int in_port=1,tcp,dl_src=02:00:00:00:00:01,nw_dst=10.0.0.2,tp_dst=80',
  )
  .action(async (bridge: string, flow: string, o: Common) => {
    if (o.json) printJson(await fetchData(o.control, 'ofproto/trace', [bridge, flow]))
    else process.stdout.write(await fetchText(o.control, 'ofproto/trace', [bridge, flow]))
  })

client('reload', 're-read the configuration file; what did not change is not disturbed').action(async (o: Common) => {
  if (o.json) printJson(await fetchData(o.control, 'reload'))
  else process.stdout.write(await fetchText(o.control, 'reload'))
})

client('appctl <verb> [args...]', 'any verb of the control socket (list-commands lists them)')
  .passThroughOptions()
  .action(async (verb: string, args: string[], o: Common) => {
    if (o.json) printJson(await fetchData(o.control, verb, args))
    else process.stdout.write(await fetchText(o.control, verb, args))
  })
program
  .command('parse-pcap <file>')
  .description('print the flow of each frame of a capture, one line each, as ovs-ofctl parse-pcap does')
  .option('--json', 'print data instead of text')
  .action(async (file: string, o: Common) => {
    const { parsePcapFile } = await import('./parse-pcap.ts')
    if (o.json) printJson([...parsePcapFile(file)])
    else for (const line of parsePcapFile(file)) process.stdout.write(`${line}\n`)
  })

const lab = program
  .command('lab')
  .description('lab scenarios: namespaces as guests, real traffic')
  .enablePositionalOptions()
lab
  .command('list', { isDefault: true })
  .description('the scenarios')
  .option('--json', 'print data instead of text')
  .action((o: Common) => listLabs(o.json === true))
lab
  .command('run <name> [args...]')
  .description('start a scenario')
  .passThroughOptions()
  .allowUnknownOption()
  .action((name: string, args: string[]) => runLab(name, args))

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`tapswitch: ${(error as Error).message}\n`)
  if (!(error instanceof ControlError) && process.env['TAPSWITCH_DEBUG'])
    process.stderr.write(`${(error as Error).stack}\n`)
  process.exitCode = 1
}
