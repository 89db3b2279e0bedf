/** Frames that the switch sends as if the host behind a bridge's own port had: through the bridge's rules, without a flow. Main thread. */
import type { Dpif } from '../datapath/contract.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey } from '../flow/key.ts'
import type { Clock } from '../lib/clock.ts'
import { HEADROOM, M_BASE, M_LEN, M_OFF, M_PORT, M_VFLAGS, META_WORDS } from '../packet/slot.ts'
import { decide } from './decide.ts'
import type { Ofproto } from './ofproto.ts'
import { pushStats } from './translate/effects.ts'

export interface SendParts {
  readonly ofproto: Ofproto
  readonly dpif: Dpif
  readonly clock: Clock
}

/** `frame`: complete. `port`: a datapath port. False when it is lost: the rules drop it, nobody owns the port, or there is no slot. */
export const sendAsHost = ({ ofproto, dpif, clock }: SendParts, port: number, frame: Uint8Array): boolean => {
  const { arena, pool } = dpif
  const slot = pool.take(frame.length)
  if (slot < 0) return false
  const { meta } = arena
  const m = slot * META_WORDS
  meta.fill(0, m + M_VFLAGS, m + META_WORDS)
  meta[m + M_OFF] = meta[m + M_BASE]! + HEADROOM
  meta[m + M_LEN] = frame.length
  meta[m + M_PORT] = port
  arena.bytes.set(frame, meta[m + M_OFF]!)
  const key = createKey()
  extractFrame(arena, slot, key)
  const now = clock.now()
  const decision = decide(ofproto, key, true, now)
  // By a patch it may concern another such port.
  for (const other of decision?.handed ?? []) ofproto.tunnels.stackless?.receive(other, frame, true)
  if (decision === null || decision.actions.length === 0 || decision.actions[0]!.type === 'drop') {
    pool.give(slot)
    return false
  }
  pushStats(decision.effects, 1, frame.length, now)
  dpif.execute(slot, decision.actions)
  return true
}
