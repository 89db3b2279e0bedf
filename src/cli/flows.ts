/** `tapswitch flows` and `tapswitch why`: the cached flows, and for each why it is or is not offloaded. */
import type { FlowReply } from '../control/replies.ts'
import { fetchData } from './socket.ts'
import { printJson, printTable } from './table.ts'

const age = (used: number | null): string => (used === null ? 'never' : `${used.toFixed(1)}s`)

/** `args` as for dpctl/dump-flows: 'type=offloaded', ... */
export const flows = async (control: string | undefined, args: readonly string[], json: boolean): Promise<void> => {
  const rows = await fetchData<FlowReply[]>(control, 'dpctl/dump-flows', [...args, '--names'])
  if (json) return printJson(rows)
  printTable(
    ['packets', 'bytes', 'used', 'offloaded', 'match', 'actions'],
    rows.map((f) => [
      f.packets,
      f.bytes,
      age(f.used),
      f.offloaded ? `yes: ${f.eswitch}` : `no: ${f.reason}`,
      f.match,
      f.actions,
    ]),
  )
}

/** `ufid`: all of it or its beginning; absent: every flow. */
export const why = async (control: string | undefined, ufid: string | undefined, json: boolean): Promise<void> => {
  const rows = await fetchData<FlowReply[]>(control, 'offload/why', ufid === undefined ? [] : [ufid])
  if (json) return printJson(rows)
  for (const flow of rows)
    process.stdout.write(`ufid:${flow.ufid}\n  ${flow.match}\n  actions:${flow.actions}\n  ${flow.why}\n`)
  if (rows.length === 0) process.stdout.write('no flows\n')
}
