/** A mirror of the forwarding of a kernel that the test plays. */
import { Namespace } from '../../../src/netlink/namespace.ts'
import { Fib } from '../../../src/tunnel/fib.ts'
import type { FibChange } from '../../../src/tunnel/fib-contract.ts'
import { done, FakeKernel, type LinkFacts, linkPart, message, PORTID } from '../netlink/fake-kernel.ts'
import { attribute, rulePayload, u32 } from '../netlink/messages.ts'

export const RTM_NEWROUTE = 24
export const RTM_DELROUTE = 25
const RTM_GETROUTE = 26

/** What dumps of the kernel list: payloads by the type of request; IPv4 and IPv6 are told apart by their first byte. */
export interface KernelTables {
  links: LinkFacts[]
  routes: Buffer[]
  rules: Buffer[]
  addresses: Buffer[]
  nexthops: Buffer[]
}

/** The three rules that every namespace begins with, but for that of the table 'default'. */
export const usualRules = (): Buffer[] =>
  ([4, 6] as const).flatMap((family) =>
    [
      { table: 255, priority: 0 },
      { table: 254, priority: 32_766 },
    ].map(({ table, priority }) =>
      rulePayload(family, { table }, [attribute(6, u32(priority)), attribute(15, u32(table))]),
    ),
  )

export class FakeFib {
  readonly kernel = new FakeKernel()
  readonly errors: Error[] = []
  readonly changes: FibChange[] = []
  readonly tables: KernelTables
  fib!: Fib
  #answered = 0

  private constructor(tables: Partial<KernelTables>) {
    this.tables = {
      links: [
        { index: 2, name: 'v0', up: true },
        { index: 3, name: 'v1', up: true },
      ],
      routes: [],
      rules: usualRules(),
      addresses: [],
      nexthops: [],
      ...tables,
    }
  }

  static async open(tables: Partial<KernelTables> = {}): Promise<FakeFib> {
    const fake = new FakeFib(tables)
    const { kernel } = fake
    const onError = (error: Error): number => fake.errors.push(error)
    const opened = Namespace.open({ transport: kernel, timers: kernel, onError })
    await fake.answer()
    fake.fib = new Fib(await opened, { onError, timers: kernel })
    const started = fake.fib.start()
    await fake.answer()
    await started
    fake.fib.on((change) => fake.changes.push(change))
    return fake
  }

  /** Plays the kernel's part until nothing more is asked. Returns the types of what was. */
  async answer(): Promise<number[]> {
    const types: number[] = []
    for (let idle = 0; idle < 20; ) {
      const request = this.kernel.requests[this.#answered]
      if (!request) {
        idle++
        await Promise.resolve()
        continue
      }
      idle = 0
      this.#answered++
      types.push(request.type)
      const { routes, rules, addresses, nexthops, links } = this.tables
      const part = (payload: Buffer): void =>
        this.kernel.deliver(message(request.type - 2, payload, { flags: 2, seq: request.seq, port: PORTID }))
      const family = request.data[0]
      const ofFamily = (payloads: readonly Buffer[]): Buffer[] => payloads.filter((payload) => payload[0] === family)
      if (request.type === 18) for (const link of links) this.kernel.deliver(linkPart(request, link))
      if (request.type === RTM_GETROUTE) ofFamily(routes).forEach(part)
      if (request.type === 34) ofFamily(rules).forEach(part)
      if (request.type === 22) addresses.forEach(part)
      if (request.type === 106) nexthops.forEach(part)
      this.kernel.deliver(done(request))
    }
    return types
  }

  /** Doubts are due: dumps are made and answered. */
  async confirm(): Promise<number[]> {
    this.kernel.expire()
    const types = await this.answer()
    await this.fib.settled()
    return types
  }

  news(type: number, payload: Buffer, flags = 0): void {
    this.kernel.deliver(message(type, payload, { flags }))
  }
}
