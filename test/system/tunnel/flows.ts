/** The flows of a tunnelled conversation, as the switch tells of them. */
import type { FlowReply } from '../../../src/control/replies.ts'
import type { Daemon } from '../kit/daemon.ts'

/** IPv4 flows from one inner address to another, those that carried most first. */
export const flowsBetween = async (daemon: Daemon, from: string, to: string): Promise<FlowReply[]> =>
  (await daemon.flows())
    .filter((flow) => flow.match.includes(`src=${from},dst=${to}`) && flow.match.includes('eth_type(0x0800)'))
    .toSorted((x, y) => y.packets - x.packets)

/** The busiest flow each way; fails if one has none. */
export const bothWays = async (daemon: Daemon, a: string, b: string): Promise<[FlowReply, FlowReply]> => {
  const [there, back] = [(await flowsBetween(daemon, a, b))[0], (await flowsBetween(daemon, b, a))[0]]
  if (!there || !back)
    throw new Error(`no flow ${a} -> ${b} or back:\n${JSON.stringify(await daemon.flows(), null, 1)}`)
  return [there, back]
}

/** What is said of a flow, in one word: 'offloaded' or the refusal's check. */
export const verdictOf = (flow: FlowReply): string => (flow.offloaded ? 'offloaded' : (flow.reason ?? 'none'))

/** Waits until both ways have this verdict. */
export const untilBoth = (daemon: Daemon, a: string, b: string, verdict: string, timeout = 3000): Promise<unknown> =>
  daemon.until(
    `${a} <-> ${b}: ${verdict}`,
    () => bothWays(daemon, a, b),
    (flows) => flows.every((flow) => verdictOf(flow) === verdict),
    timeout,
  )
