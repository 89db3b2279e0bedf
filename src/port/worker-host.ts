/** What both workers tell their tier about descriptors: how to open, watch and rest ports. */
import { native } from '../native/binding.ts'
import type { Arena } from '../packet/slot.ts'
import { PacketPort } from './afpacket.ts'
import type { Port } from './contract.ts'
import type { IntakeHost } from './intake.ts'
import { NobodyPort } from './nobody.ts'
import type { Poller } from './poller.ts'
import { FdPort, type PortFd, TapPort } from './tap.ts'

type Open =
  | ({ readonly type: 'tap' | 'packet' } & PortFd)
  | { readonly type: 'none' }
  | { readonly type: 'object'; readonly port: Port }

export const createPortHost = (arena: Arena, stats: Float64Array, poller: Poller): IntakeHost<Open> => ({
  openPort: (no, name, open) => {
    if (open.type === 'tap') return new TapPort(name, no, open, arena, stats)
    if (open.type === 'packet') return new PacketPort(name, no, open, arena, stats)
    if (open.type === 'none') return new NobodyPort(name, no, stats)
    throw new Error(`port ${name}: a descriptor expected, objects do not cross threads`)
  },
  watch: (no, port) => poller.add(no, port.fd),
  unwatch: (no) => poller.remove(no),
  rewatch: (no) => poller.retry(no),
  pause: (no, now) => poller.rest(no, now),
  fruitless: (no, port, now) => {
    if (poller.isSuspect(no) || (port instanceof FdPort && port.rxErrno !== 0)) poller.rest(no, now)
  },
})

/** Signals another worker's eventfd; one that was closed meanwhile is nobody's. */
export const signal = (eventfd: number): void => {
  try {
    native.eventfdSignal(eventfd)
  } catch {
    // Its worker is being replaced.
  }
}

/** Big pages for big tables. What the kernel says to that is its affair. */
export const hugePages = (words: Int32Array): void => void native.hugePages(words)
