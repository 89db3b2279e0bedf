import { expect, test } from 'vitest'
import { VerbRegistry } from '../../../src/control/registry.ts'
import type { SwitchView } from '../../../src/control/verbs/context.ts'
import { registerDatapathVerbs } from '../../../src/control/verbs/datapath.ts'

const createVerbs = (tunnels: boolean) => {
  const log: string[] = []
  const step = (name: string) => async (): Promise<void> => {
    log.push(name)
    // Long enough for who does not wait to be ahead.
    await new Promise(setImmediate)
    log.push(`${name} done`)
  }
  const view = {
    udpif: { settled: step('pass') },
    dpif: { barrier: step('barrier') },
    underlay: () => (tunnels ? { settled: step('underlay') } : undefined),
  }
  const registry = new VerbRegistry()
  registerDatapathVerbs(registry, view as unknown as SwitchView)
  return { log, registry }
}

test('revalidator/wait: what the kernel has changed is heard of, flows are looked at, ways that follow from that, then tier 2 has it', async () => {
  const { log, registry } = createVerbs(true)
  await registry.call('revalidator/wait', [])
  const steps = ['underlay', 'pass', 'underlay', 'barrier']
  expect(log).toEqual(steps.flatMap((name) => [name, `${name} done`]))
})

test('revalidator/wait without tunnels', async () => {
  const { log, registry } = createVerbs(false)
  await registry.call('revalidator/wait', [])
  expect(log).toEqual(['pass', 'pass done', 'barrier', 'barrier done'])
})
