/** What NORMAL sees of a port: its VLANs and how it may be flooded. One port now; the members of a bond later. */
import type { Port } from './port.ts'
import { resolveVlan, type VlanConfig, type VlanSpec } from './vlan.ts'

export interface BundleSpec extends VlanSpec {
  /** Protected ports do not talk to each other. */
  readonly protected?: boolean
}

/**
 * Immutable: a reconfigured port gets a new bundle, so that whoever remembers the old one (a recorded side effect, a learned address) can see that
 * it is outdated.
 */
export interface Bundle {
  readonly name: string
  readonly port: Port
  readonly vlan: VlanConfig
  readonly protected: boolean
}

export const createBundle = (name: string, port: Port, spec: BundleSpec): Bundle => ({
  name,
  port,
  vlan: resolveVlan(spec),
  protected: spec.protected ?? false,
})
