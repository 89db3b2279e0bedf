/** Finds the control socket: --control, then TAPSWITCH_CONTROL, then the only socket in /run/tapswitch. */
import { readdirSync } from 'node:fs'
import { ControlError, callVerb } from '../control/client.ts'

export const RUN_DIR = '/run/tapswitch'

export const findSocket = (given: string | undefined): string => {
  const path = given ?? process.env['TAPSWITCH_CONTROL']
  if (path !== undefined && path !== '') return path
  let names: string[] = []
  try {
    names = readdirSync(RUN_DIR).filter((name) => name.endsWith('.ctl'))
  } catch {
    // No directory: no switch.
  }
  if (names.length === 1) return `${RUN_DIR}/${names[0]}`
  throw new ControlError(
    names.length === 0
      ? `no control socket in ${RUN_DIR}: is a switch running? (name its socket with --control PATH)`
      : `${names.length} control sockets in ${RUN_DIR} (${names.join(', ')}): name one with --control PATH`,
  )
}

/** Calls a verb of the switch that `control` names; returns its data. */
export const fetchData = async <T>(
  control: string | undefined,
  verb: string,
  args: readonly string[] = [],
): Promise<T> => (await callVerb(findSocket(control), verb, args, true)) as T

/** Calls a verb; returns the text that ovs-appctl would print. */
export const fetchText = async (
  control: string | undefined,
  verb: string,
  args: readonly string[] = [],
): Promise<string> => String(await callVerb(findSocket(control), verb, args))
