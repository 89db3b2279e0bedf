/** `tapswitch flows` and `tapswitch why`: the cached flows, and for each why it is or is not offloaded. */
import type { FlowReply, WhyReply } from '../control/replies.ts'
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

/** `which`: a ufid or its beginning, or a tunnel's peer or prefix of peers; absent: every flow. */
export const why = async (control: string | undefined, which: string | undefined, json: boolean): Promise<void> => {
  const rows = await fetchData<WhyReply[]>(control, 'offload/why', which === undefined ? [] : [which])
  if (json) return printJson(rows)
  for (const { ufid, match, actions, why, tunnels = [] } of rows) {
    const lines = [match, `actions:${actions}`, why, ...tunnels.map(({ text }) => text)]
    process.stdout.write(`ufid:${ufid}\n${lines.map((line) => `  ${line}\n`).join('')}`)
  }
  if (rows.length === 0) process.stdout.write('no flows\n')
}
