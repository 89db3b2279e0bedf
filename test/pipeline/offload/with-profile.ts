/** An eswitch as the world has it, with a profile that the test chooses. */
import type { EswitchClient } from '../../../src/eswitch/client.ts'
import type { Eswitch } from '../../../src/eswitch/contract.ts'
import type { Profile } from '../../../src/eswitch/profile.ts'

export const withProfile = (client: EswitchClient, profile: Profile): Eswitch => ({
  name: client.name,
  switchId: client.switchId,
  profile,
  get state() {
    return client.state
  },
  hasPort: (no) => client.hasPort(no),
  get ruleCount() {
    return client.ruleCount
  },
  capacity: profile.tableSize,
  rulePut: (rule) => client.rulePut(rule),
  encapPut: (entry) => client.encapPut(entry),
  encapDel: (id) => client.encapDel(id),
  ruleDel: (id, gone) => client.ruleDel(id, gone),
  ruleStats: (id, out) => client.ruleStats(id, out),
  ruleActive: (id) => client.ruleActive(id),
  ruleIds: () => client.ruleIds(),
  onState: (listener) => client.onState(listener),
})
