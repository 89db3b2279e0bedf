/** Is the flow that takes the outer header off offloaded too? A rule for what is inside is of use only behind one that opens the packet. */
import { type EswitchCheck, portName, portText } from './contract.ts'

export const outerFlow: EswitchCheck = (_flow, { eswitch, entrances }, view) => {
  for (const { port, outer } of entrances) {
    if (!outer) continue
    const verdict = view.outerVerdict(outer)
    if (verdict?.state === 'offloaded' && verdict.eswitch === eswitch.name) continue
    const where = `of the outer packets that enter by ${portText(port, view)}`
    return {
      check: 'outer-flow',
      what: portName(port, view),
      detail: !verdict
        ? `the flow ${where} is not there yet`
        : `the flow ${where} is not offloaded${verdict.state === 'refused' ? `: ${verdict.check} (${verdict.what})` : ''}`,
      retryOn: ['outer-flow', 'route-change'],
    }
  }
  return undefined
}
