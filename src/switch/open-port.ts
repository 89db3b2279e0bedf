/**
 * Opens what a port plan asks for: the descriptor, which main owns as long as the port lives, and the kernel side's settings. Whatever fails, nothing is left
 * open. Main thread.
 */
import { native } from '../native/binding.ts'
import type { Link, LinkChange } from '../netlink/link.ts'
import type { Namespace } from '../netlink/namespace.ts'
import type { PortFd } from '../port/tap.ts'
import type { PortPlan } from './plan.ts'

export interface OpenedPort extends PortFd {
  readonly ifindex: number
  readonly link: Link
}

/** What a packet socket with a virtio-net header takes: checksums and TCP segmentation, in TUN_F_* bits. */
const PACKET_OFFLOADS = 1 | 2 | 4 | 8

const openDescriptor = (plan: PortPlan): PortFd & { ifindex: number } => {
  const where = plan.netns === undefined ? {} : { netns: plan.netns }
  try {
    if (plan.kind === 'packet') {
      const { fd, ifindex, vnetHdr } = native.openPacket({
        name: plan.name,
        ...where,
        vnetHdr: plan.offloads === 'best',
      })
      return { fd, ifindex, vnetHdr, offloads: vnetHdr > 0 ? PACKET_OFFLOADS : 0 }
    }
    return native.openTap({ name: plan.name, ...where, persist: plan.persist, offloads: plan.offloads })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const place = plan.netns === undefined ? '' : ` in namespace ${plan.netns}`
    const reason =
      code === 'EBUSY' || code === 'EEXIST'
        ? 'an interface of that name is there already and in use'
        : code === 'EINVAL' && plan.kind !== 'packet'
          ? 'an interface of that name is there already and is no TAP device'
          : code === 'ENODEV' || code === 'ENXIO'
            ? 'there is no such interface'
            : message
    throw new Error(`port ${plan.name}${place}: ${reason}`, { cause: error })
  }
}

/** Rejects with an Error that names the port and says what is wrong. */
export const openPort = async (plan: PortPlan, namespace: Namespace): Promise<OpenedPort> => {
  const opened = openDescriptor(plan)
  try {
    const change: LinkChange = {
      ...(plan.mac === undefined ? {} : { mac: plan.mac }),
      ...(plan.mtu === undefined ? {} : { mtu: plan.mtu }),
      ...(plan.kind === 'internal' ? { up: true } : {}),
    }
    if (Object.keys(change).length > 0) await namespace.setLink(opened.ifindex, change)
    for (const address of plan.addresses ?? []) await namespace.addAddress(opened.ifindex, address)
    return { ...opened, link: await namespace.getLink(opened.ifindex) }
  } catch (error) {
    native.close(opened.fd)
    throw new Error(`port ${plan.name}: ${(error as Error).message}`, { cause: error })
  }
}

/** Changes MTU, MAC and addresses from one plan to another. Rejects with an Error that names the port. */
export const changeSettings = async (
  before: PortPlan,
  after: PortPlan,
  ifindex: number,
  namespace: Namespace,
): Promise<void> => {
  const change: LinkChange = {
    ...(after.mac === undefined || after.mac === before.mac ? {} : { mac: after.mac }),
    ...(after.mtu === undefined || after.mtu === before.mtu ? {} : { mtu: after.mtu }),
  }
  const had = new Set(before.addresses)
  const wanted = new Set(after.addresses)
  try {
    if (Object.keys(change).length > 0) await namespace.setLink(ifindex, change)
    for (const address of wanted) if (!had.has(address)) await namespace.addAddress(ifindex, address)
    // Somebody else may have taken it away already.
    for (const address of had) if (!wanted.has(address)) await namespace.deleteAddress(ifindex, address).catch(() => {})
  } catch (error) {
    throw new Error(`port ${after.name}: ${(error as Error).message}`, { cause: error })
  }
}

const OFFLOAD_NAMES: readonly (readonly [number, string])[] = [
  [0x1, 'csum'],
  [0x2, 'tso4'],
  [0x4, 'tso6'],
  [0x8, 'tso-ecn'],
  [0x20, 'uso4'],
  [0x40, 'uso6'],
  [0x80, 'udp-tunnel-gso'],
  [0x100, 'udp-tunnel-gso-csum'],
]

export const offloadNames = (bits: number): string[] =>
  OFFLOAD_NAMES.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name)
