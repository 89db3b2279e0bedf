/** Addresses of all links, each link's in the order of the kernel, which decides between equals when a source is chosen. */
import { sameAddress } from '../flow/address.ts'
import { type Address, IFA_F_SECONDARY } from '../netlink/address.ts'

interface Entry extends Address {
  /** The dump, or the time after it, in which it was last heard of. */
  epoch: number
  /** The dump that listed it last; 0: none. */
  listed: number
}

const same = (a: Address, b: Address): boolean =>
  a.version === b.version && a.prefixLength === b.prefixLength && sameAddress(a.bytes, b.bytes)

export class AddressList {
  epoch = 0
  readonly byLink = new Map<number, Entry[]>()

  /** True if it changed something. */
  listed(address: Address): boolean {
    const list = this.#list(address.ifindex)
    const at = list.findIndex((entry) => same(entry, address))
    const old = at < 0 ? undefined : list.splice(at, 1)[0]
    const to = list.findLastIndex((entry) => entry.version === address.version && entry.listed === this.epoch) + 1
    list.splice(to, 0, { ...address, epoch: this.epoch, listed: this.epoch })
    return !old || old.flags !== address.flags || old.scope !== address.scope || to !== at
  }

  added(address: Address): boolean {
    const list = this.#list(address.ifindex)
    const at = list.findIndex((other) => same(other, address))
    const old = list[at]
    const entry = { ...address, epoch: this.epoch, listed: old?.listed ?? 0 }
    if (old) {
      list[at] = entry
      return old.flags !== entry.flags || old.scope !== entry.scope
    }
    if (address.version === 6) {
      // Before the first one whose scope is as wide or narrower.
      const behind = list.findIndex((other) => other.version === 6 && other.scope >= address.scope)
      list.splice(behind < 0 ? list.length : behind, 0, entry)
    } else if ((address.flags & IFA_F_SECONDARY) !== 0) list.push(entry)
    // Behind the last primary one whose scope is as narrow or narrower.
    else
      list.splice(
        list.findLastIndex(
          (other) => other.version === 4 && (other.flags & IFA_F_SECONDARY) === 0 && other.scope >= address.scope,
        ) + 1,
        0,
        entry,
      )
    return true
  }

  deleted(address: Address): boolean {
    const list = this.#list(address.ifindex)
    const at = list.findIndex((entry) => same(entry, address))
    if (at >= 0) list.splice(at, 1)
    if (list.length === 0) this.byLink.delete(address.ifindex)
    return at >= 0
  }

  clear(): void {
    this.byLink.clear()
  }

  /** Whether any link has it. */
  has(bytes: Uint8Array): boolean {
    for (const list of this.byLink.values()) if (list.some((entry) => sameAddress(entry.bytes, bytes))) return true
    return false
  }

  /** Whether a link has any of IPv4. */
  hasIpv4(ifindex: number): boolean {
    return this.byLink.get(ifindex)?.some((entry) => entry.version === 4) ?? false
  }

  /** Lets go of what has not been heard of in this epoch; returns it. */
  sweep(): Address[] {
    const gone: Address[] = []
    for (const list of this.byLink.values()) gone.push(...list.filter((entry) => entry.epoch !== this.epoch))
    for (const address of gone) this.deleted(address)
    return gone
  }

  #list(ifindex: number): Entry[] {
    let list = this.byLink.get(ifindex)
    if (!list) {
      list = []
      this.byLink.set(ifindex, list)
    }
    return list
  }
}
