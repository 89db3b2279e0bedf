/** The limits: C++ loops that decide nothing (bench/e2e/native). */
import { SWITCH_NICENESS } from '../../../src/lib/niceness.ts'
import type { Running } from '../../../test/system/kit/process.ts'
import { type Program, program } from '../programs.ts'
import { otherSide, outerAddress, type Side, VNI } from '../scenario.ts'
import type { Site } from '../site.ts'
import { endMac } from './kernel.ts'
import { type Kind, type Part, Unsupported } from './setup.ts'

const ready = async (running: Running): Promise<Part> => {
  const [word] = await running.until(/^(ready|unsupported)$/m)
  if (word === 'unsupported') throw new Unsupported(`the kernel does not take it: ${running.stderr.trim()}`)
  return { pids: [running.pid] }
}

/** As `tapswitch run`. */
const FIRST = ['nice', '-n', String(SWITCH_NICENESS)]

const links = (site: Site): string[] =>
  (['a', 'b'] as const).flatMap((side) => [site.guests[side].netns, site.link(side)])

const between =
  (name: Program, ...mode: readonly string[]) =>
  (site: Site): Promise<Part> =>
    ready(site.bed.start([...FIRST, program(name), ...mode, ...links(site)]))

const end =
  (mode: 'gso' | 'uso') =>
  async (site: Site, side: Side): Promise<Part> => {
    const peer = otherSide(side)
    const { netns } = await site.fabric()
    const part = await ready(
      site.bed.start([
        ...[...FIRST, program('vxlan'), mode, site.guests[side].netns, site.link(side), netns, site.uplink(side)],
        ...[endMac(side), endMac(peer), outerAddress(site.scenario, side), outerAddress(site.scenario, peer)],
        String(VNI),
      ]),
    )
    await site.plug(side)
    return part
  }

export const SPLICES: readonly Kind[] = [
  { name: 'splice-epoll', between: between('splice', 'epoll') },
  { name: 'splice-uring', between: between('uring') },
  { name: 'splice-coalesce', between: between('splice', 'coalesce') },
  { name: 'queues-epoll', between: between('splice', 'queues') },
  { name: 'splice-gso', end: end('gso'), silent: true },
  { name: 'splice-uso', end: end('uso'), silent: true },
]
