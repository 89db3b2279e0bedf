/** Starts set-ups at their sites. */
import type { Scenario } from '../scenario.ts'
import type { Site } from '../site.ts'
import { KERNEL, kernelEnd } from './kernel.ts'
import { OVS } from './ovs.ts'
import type { Kind, Part, SetupName } from './setup.ts'
import { SPLICES } from './splice.ts'
import { TAPSWITCH } from './tapswitch.ts'

export const KINDS: readonly Kind[] = [...SPLICES, ...TAPSWITCH, ...OVS, KERNEL]

/** One of the kinds, running in a scenario. All of a scenario stand at the same time; one carries traffic at any moment. */
export interface Setup {
  readonly name: SetupName
  readonly site: Site
  readonly parts: readonly Part[]
  readonly partial: boolean
}

export const kindsOf = (scenario: Scenario): Kind[] =>
  KINDS.filter((kind) => (scenario.outer === undefined ? kind.between : kind.end))

/** Throws Unsupported where this kernel cannot have it. */
export const startSetup = async (kind: Kind, site: Site): Promise<Setup> => {
  const setup = (parts: readonly Part[]): Setup => ({ name: kind.name, site, parts, partial: kind.partial ?? false })
  const start = async (): Promise<Setup> => {
    if (site.scenario.outer === undefined) return setup([await kind.between!(site)])
    const near = await kind.end!(site, 'a')
    const far = await (site.scenario.cut ? kernelEnd(site, 'b', kind.silent) : kind.end!(site, 'b'))
    return setup([near, far])
  }
  const started = await start()
  await site.dress()
  return started
}
