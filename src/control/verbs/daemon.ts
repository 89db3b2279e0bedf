/** Verbs of the process: version, list-commands, exit, reload, coverage. */
import { VerbError, type VerbRegistry } from '../registry.ts'
import type { SwitchView } from './context.ts'

export const registerDaemonVerbs = (registry: VerbRegistry, view: SwitchView, version: string): void => {
  registry.register('version', '', 0, 0, () => ({
    text: `tapswitch ${version}\n`,
    json: { name: 'tapswitch', version },
  }))

  registry.register('list-commands', '', 0, 0, () => {
    const verbs = registry.list()
    return {
      text: `The available commands are:\n${verbs.map((v) => `  ${v.name.padEnd(23)} ${v.usage}\n`).join('')}`,
      json: verbs.map(({ name, usage }) => ({ name, usage })),
    }
  })

  registry.register('exit', '[--cleanup]', 0, 1, () => {
    view.stop()
    return { text: '' }
  })

  registry.register('reload', '', 0, 0, async () => {
    let changes: string[]
    try {
      changes = await view.reload()
    } catch (error) {
      throw new VerbError((error as Error).message)
    }
    return { text: changes.length === 0 ? 'nothing changed\n' : `${changes.join('\n')}\n`, json: { changes } }
  })

  registry.register('coverage/show', '', 0, 0, () => ({
    text: view.coverage.show(),
    json: Object.fromEntries(
      view.coverage.names().map((name) => [name, { total: view.coverage.total(name), ...view.coverage.rates(name) }]),
    ),
  }))

  registry.register('coverage/read-counter', 'COUNTER', 1, 1, ([name]) => {
    if (!view.coverage.names().includes(name!)) throw new VerbError(`No such counter: ${name}`)
    const total = view.coverage.total(name!)
    return { text: `${total}\n`, json: total }
  })
}
