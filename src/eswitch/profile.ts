/** Capability profile of an eswitch: what it can match, what it can do, how much fits. Loaded from a file, validated (profile-file.ts). */
import type { OdpAction } from '../flow/odp.ts'

export interface Profile {
  readonly name: string
  readonly tableSize: number
  /** Field names (registry) that rules may match; in_port and recirc_id are always allowed. */
  readonly match: ReadonlySet<string>
  /** Fields that may be matched only exactly or not at all. */
  readonly exactOnly: ReadonlySet<string>
  readonly actions: ReadonlySet<OdpAction['type']>
  /** Headers that `set` may write. */
  readonly set: ReadonlySet<string>
  /** Outputs in one rule. */
  readonly maxOutputs: number
}
