/** Verbs of ports: port/show with counters and drop reasons, port/set. */
import { VerbError, type VerbRegistry } from '../registry.ts'
import type { PortReply } from '../replies.ts'
import { asked, type SwitchView } from './context.ts'

const portText = (p: PortReply): string => {
  const where = [
    p.kind,
    p.eswitch === undefined ? '' : `eswitch ${p.eswitch}`,
    p.role ?? '',
    p.bridge === undefined ? 'in no bridge' : `bridge ${p.bridge} port ${p.ofport}`,
    p.netns === undefined ? '' : `netns ${p.netns}`,
  ].filter((word) => word !== '')
  const drops = Object.entries(p.drops).map(([reason, n]) => `${reason}:${n}`)
  return (
    `${p.name}: ${where.join(', ')}\n` +
    `  admin ${p.admin}, link ${p.link}${p.gone ? ' (interface is gone)' : ''}${p.mtu === undefined ? '' : `, mtu ${p.mtu}`}${p.mac === undefined ? '' : `, mac ${p.mac}`}\n` +
    `${p.offloads === undefined ? '' : `  offloads: ${p.offloads.join(' ') || 'none'}\n`}` +
    `  rx packets:${p.rxPackets} bytes:${p.rxBytes}\n  tx packets:${p.txPackets} bytes:${p.txBytes}\n` +
    `  drops: ${drops.join(' ') || 'none'}\n`
  )
}

export const registerPortVerbs = (registry: VerbRegistry, view: SwitchView): void => {
  registry.register('port/show', '[PORT]', 0, 1, ([name]) => {
    const all = view.ports()
    const rows = name === undefined ? all : all.filter((p) => p.name === name)
    if (rows.length === 0 && name !== undefined)
      throw new VerbError(`no port ${name}; there are: ${all.map((p) => p.name).join(', ')}`)
    return { text: rows.map(portText).join(''), json: rows }
  })

  registry.register('port/set', 'PORT up|down', 2, 2, ([name, state]) => {
    if (state !== 'up' && state !== 'down') throw new VerbError(`${state}: "up" or "down" expected`)
    asked(() => view.setPortAdmin(name!, state === 'up'))
    return { text: '' }
  })
}
