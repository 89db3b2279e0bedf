/** Start and signals: the daemon's process. SIGINT and SIGTERM stop it and remove every interface that it made; SIGHUP re-reads the file. */
import { accessSync, constants } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, loadConfig } from './config/load.ts'
import { systemClock } from './lib/clock.ts'
import { Log, type LogLevel } from './lib/log.ts'
import { nicenessFor, setNiceness } from './lib/niceness.ts'
import { DATAPATH_LOST, Switch } from './switch.ts'

export interface MainOptions {
  config: string
  check?: boolean
  logLevel: string
  /** Unless given: nicenessFor. */
  nice?: number
}

/** A stop that takes longer is cut short. */
const STOP_MS = 5000
const LEVELS: readonly string[] = ['trace', 'debug', 'info', 'warn', 'error', 'silent']

const needs = (): void => {
  if (process.getuid?.() !== 0) throw new Error('root is needed to open TAP devices (run it with sudo)')
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    throw new Error(
      '/dev/net/tun is missing or not accessible (modprobe tun; in a container: --device /dev/net/tun --cap-add NET_ADMIN)',
    )
  }
}

/** Before there are workers, which inherit it. */
const takePrecedence = (log: Log, asked: number | undefined): void => {
  const nice = nicenessFor(asked)
  try {
    setNiceness(nice)
  } catch (error) {
    log.warn('niceness refused, the switch may have to wait behind its guests', {
      nice,
      error: (error as Error).message,
    })
  }
}

/** Runs until told to stop. Rejects with one clear message when it cannot start; then nothing is left behind. */
export const main = async (options: MainOptions): Promise<void> => {
  if (!LEVELS.includes(options.logLevel))
    throw new Error(`--log-level ${options.logLevel}: one of ${LEVELS.join(', ')} expected`)
  const config = loadConfig(options.config)
  if (options.check) {
    process.stdout.write(`${options.config}: good\n`)
    return
  }
  needs()
  const log = Log.create({ level: options.logLevel as LogLevel, clock: systemClock })
  process.on('unhandledRejection', (reason) =>
    log.error('unhandled rejection', { error: String((reason as Error)?.stack ?? reason) }),
  )
  process.on('uncaughtException', (error) => log.error('uncaught exception', { error: String(error.stack ?? error) }))

  takePrecedence(log, options.nice)

  let stop: (why: string) => void = () => {}
  const stopped = new Promise<string>((resolve) => {
    stop = resolve
  })
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.on(signal, () => stop(signal))
  // Node would open its debugger on a TCP port.
  process.on('SIGUSR1', () => {})

  const tapswitch = await Switch.start({ clock: systemClock, log, configFile: options.config, stop }, config)
  process.on('SIGHUP', () => {
    tapswitch.reload().then(
      (changes) => log.info('configuration re-read', { changes }),
      (error: unknown) =>
        log.error(error instanceof ConfigError ? 'configuration refused, the old one stays' : 'reload failed', {
          error: (error as Error).message,
        }),
    )
  })
  // Whoever waits for this word may speak to its hosts; a stop does not wait for it.
  await Promise.race([tapswitch.addressesUsable(), stopped])
  process.stdout.write(`ready: ${config.control}\n`)
  const why = await stopped
  log.info('stopping', { why })
  const late = new AbortController()
  await Promise.race([tapswitch.stop(), delay(STOP_MS, undefined, { signal: late.signal }).catch(() => {})])
  late.abort()
  // Whatever still holds the process: descriptors, and so TAPs, end with it.
  process.exit(why === DATAPATH_LOST ? 1 : 0)
}
