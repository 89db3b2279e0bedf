/** All verbs of a switch. */
import type { VerbRegistry } from '../registry.ts'
import type { SwitchView } from './context.ts'
import { registerDaemonVerbs } from './daemon.ts'
import { registerDatapathVerbs } from './datapath.ts'
import { registerFdbVerbs } from './fdb.ts'
import { registerFlowVerbs } from './flow.ts'
import { registerOffloadVerbs } from './offload.ts'
import { registerPortVerbs } from './port.ts'
import { registerTraceVerbs } from './trace.ts'
import { registerTunnelVerbs } from './tunnel.ts'
import { registerUnderlayVerbs } from './underlay.ts'

export const registerVerbs = (registry: VerbRegistry, view: SwitchView, version: string): void => {
  registerDaemonVerbs(registry, view, version)
  registerDatapathVerbs(registry, view)
  registerFdbVerbs(registry, view)
  registerFlowVerbs(registry, view)
  registerOffloadVerbs(registry, view)
  registerPortVerbs(registry, view)
  registerTraceVerbs(registry, view)
  registerTunnelVerbs(registry, view)
  registerUnderlayVerbs(registry, view)
}
