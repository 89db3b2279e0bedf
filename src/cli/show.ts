/** `tapswitch show`: the switch at a glance. */
import type { DpifReply, EswitchReply, OffloadReply, PortReply } from '../control/replies.ts'
import { fetchData } from './socket.ts'
import { printJson, printTable } from './table.ts'

export const show = async (control: string | undefined, json: boolean): Promise<void> => {
  const dpif = await fetchData<DpifReply>(control, 'dpif/show')
  const ports = await fetchData<PortReply[]>(control, 'port/show')
  const eswitches = await fetchData<EswitchReply[]>(control, 'eswitch/show')
  const offload = await fetchData<OffloadReply>(control, 'offload/show')
  if (json) return printJson({ dpif, ports, eswitches, offload })
  printTable(
    [
      'port',
      'bridge',
      'ofport',
      'kind',
      'eswitch',
      'netns',
      'mtu',
      'admin',
      'link',
      'rx packets',
      'tx packets',
      'drops',
    ],
    ports.map((p) => [
      p.name,
      p.bridge,
      p.ofport,
      p.kind,
      p.eswitch,
      p.netns,
      p.mtu,
      p.admin,
      p.gone ? 'gone' : p.link,
      p.rxPackets,
      p.txPackets,
      Object.entries(p.drops)
        .map(([reason, n]) => `${reason}:${n}`)
        .join(' ') || undefined,
    ]),
  )
  process.stdout.write('\n')
  printTable(
    ['eswitch', 'switch id', 'state', 'profile', 'rules', 'capacity', 'restarts'],
    eswitches.map((e) => [e.name, e.switchId, e.state, e.profile, e.rules, e.capacity, e.restarts]),
  )
  const reasons = Object.entries(offload.byReason).map(([reason, n]) => `${reason}: ${n}`)
  process.stdout.write(
    `\ndatapath: ${dpif.flows} flows, ${dpif.frames} frames, hit ${dpif.hits}, missed ${dpif.misses}\n` +
      `offload ${offload.enabled ? 'on' : 'off'}: ${offload.offloaded} offloaded, ${offload.refused} refused` +
      `${reasons.length > 0 ? ` (${reasons.join(', ')})` : ''}\n`,
  )
}
