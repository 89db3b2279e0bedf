/** What stands between two guests, or at one end of a tunnel between them. */
import type { Side } from '../scenario.ts'
import type { Site } from '../site.ts'

export type SetupName =
  | 'splice-epoll'
  | 'splice-uring'
  | 'splice-coalesce'
  | 'queues-epoll'
  | 'splice-gso'
  | 'splice-uso'
  | 'offloaded'
  | 'software'
  | 'nic-software'
  | 'ovs'
  | 'ovs-tso'
  | 'kernel'

/** A running part of a set-up. */
export interface Part {
  /** Processes whose CPU time and memory are the switch's; none for the kernel. */
  readonly pids: readonly number[]
  /** Throws when the traffic since the start did not go the way that the set-up's name says. */
  check?(): Promise<void>
  /** Makes each UDP flow to the port, from guest a, one that the switch must be asked about, until the returned function is called. */
  askAboutPort?(port: number): Promise<() => Promise<void>>
}

/** Why a set-up cannot be here; not an error. */
export class Unsupported extends Error {}

export interface Kind {
  readonly name: SetupName
  /** One switch with both guests; the links are there when it resolves. */
  between?(site: Site): Promise<Part>
  /** One end of a tunnel: the guest's link and the plugged uplink are there when it resolves. */
  end?(site: Site, side: Side): Promise<Part>
  /** The far end must be told our MAC: nobody answers there. */
  readonly silent?: boolean
  /** It is known not to carry everything: what it does not carry is 0, not an error. */
  readonly partial?: boolean
}
