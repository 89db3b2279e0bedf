/** A datapath that hands every call to another: what decorators do not change. */
import type { DpFlow, Dpif, DpifCounters, DpPort, FlowStats } from '../datapath/contract.ts'
import type { EncapEntry } from '../flow/encap.ts'
import type { OdpAction } from '../flow/odp.ts'

export class DpifDecorator implements Dpif {
  protected readonly inner: Dpif

  constructor(inner: Dpif) {
    this.inner = inner
  }

  get arena(): Dpif['arena'] {
    return this.inner.arena
  }

  get pool(): Dpif['pool'] {
    return this.inner.pool
  }

  get flowLimit(): number {
    return this.inner.flowLimit
  }

  setFlowLimit(flows: number): void {
    this.inner.setFlowLimit(flows)
  }

  flowNew(): number {
    return this.inner.flowNew()
  }

  flowPut(flow: DpFlow): void {
    this.inner.flowPut(flow)
  }

  flowDel(id: number, gone?: (final: FlowStats) => void): void {
    this.inner.flowDel(id, gone)
  }

  encapPut(entry: EncapEntry): void {
    this.inner.encapPut(entry)
  }

  encapDel(id: number): void {
    this.inner.encapDel(id)
  }

  onTooBig(handler: (slot: number, encap: number) => void): void {
    this.inner.onTooBig(handler)
  }

  flow(id: number): DpFlow | undefined {
    return this.inner.flow(id)
  }

  flows(): Iterable<DpFlow> {
    return this.inner.flows()
  }

  get flowCount(): number {
    return this.inner.flowCount
  }

  flowStats(id: number, out: FlowStats): boolean {
    return this.inner.flowStats(id, out)
  }

  onUpcall(handler: (slot: number) => void): void {
    this.inner.onUpcall(handler)
  }

  upcallDone(slot: number, actions: readonly OdpAction[]): void {
    this.inner.upcallDone(slot, actions)
  }

  execute(slot: number, actions: readonly OdpAction[]): void {
    this.inner.execute(slot, actions)
  }

  barrier(): Promise<void> {
    return this.inner.barrier()
  }

  counters(out: DpifCounters): void {
    this.inner.counters(out)
  }

  ports(): Iterable<DpPort> {
    return this.inner.ports()
  }

  port(no: number): DpPort | undefined {
    return this.inner.port(no)
  }
}
