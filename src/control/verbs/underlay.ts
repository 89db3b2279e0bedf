/** Verbs that change the underlay of tunnels, with OVS's names: routes by hand, and neighbours of bridges that no host's stack owns. */
import { addressBytes, addressText } from '../../flow/address.ts'
import { VerbError, type VerbRegistry } from '../registry.ts'
import { asked, type SwitchView, type UnderlayView } from './context.ts'

export const underlayOf = (view: SwitchView): UnderlayView => {
  const underlay = view.underlay()
  if (!underlay) throw new VerbError('this switch has no tunnels, so it follows no routes')
  return underlay
}

export const addressOf = (text: string): Uint8Array => {
  const bytes = addressBytes(text)
  if (!bytes) throw new VerbError(`${text}: an IPv4 or IPv6 address expected`)
  return bytes
}

/** N of `pkt_mark=N`; undefined when the word is none. */
export const markOf = (text: string): number | undefined => {
  const mark = /^pkt_mark=(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.exec(text)?.[1]
  return mark === undefined || Number(mark) > 0xffffffff ? undefined : Number(mark) | 0
}

const prefixOf = (text: string): { dst: Uint8Array; length: number } => {
  const [ip = '', bits, ...rest] = text.split('/')
  const dst = addressBytes(ip)
  const most = (dst?.length ?? 0) * 8
  const length = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : -1
  if (!dst || rest.length > 0 || length < 0 || length > most)
    throw new VerbError(`${text}: an IPv4 or IPv6 prefix like 10.0.0.0/8 expected`)
  return { dst, length }
}

const sameVersion = (text: string, dst: Uint8Array): Uint8Array => {
  const bytes = addressBytes(text)
  if (bytes?.length !== dst.length)
    throw new VerbError(`${text}: GW (an IPv${dst.length === 4 ? 4 : 6} address), pkt_mark=MARK or src=IP expected`)
  return bytes
}

const macOf = (text: string): Uint8Array => {
  if (!/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/.test(text))
    throw new VerbError(`${text}: a MAC address like 02:00:00:00:01:01 expected`)
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16))
}

/** Of a bridge without a host's stack. */
const stacklessOf = (underlay: UnderlayView, bridge: string): number => {
  const port = underlay.stackless().find(({ name }) => name === bridge)
  if (!port)
    throw new VerbError(
      `${bridge}: a bridge with internal: { stack: none } expected; neighbours of others are the kernel's (ip neigh replace IP lladdr MAC dev ${bridge})`,
    )
  return port.ifindex
}

const MAX_AGING = 3600

const registerRoutes = (registry: VerbRegistry, view: SwitchView): void => {
  registry.register(
    'ovs/route/add',
    'IP/PLEN BRIDGE [GW] [pkt_mark=MARK] [src=IP]',
    2,
    5,
    ([prefix, bridge, ...more]) => {
      const { dst, length } = prefixOf(prefix!)
      let mark = 0
      let via: Uint8Array | undefined
      let src: Uint8Array | undefined
      for (const word of more) {
        const given = markOf(word)
        if (given !== undefined) mark = given
        else if (word.startsWith('src=')) src = sameVersion(word.slice(4), dst)
        else via = sameVersion(word, dst)
      }
      const { routes } = underlayOf(view)
      asked(() => routes.add({ dst, length, bridge: bridge!, mark, ...(via ? { via } : {}), ...(src ? { src } : {}) }))
      return { text: 'OK' }
    },
  )

  registry.register('ovs/route/del', 'IP/PLEN [pkt_mark=MARK]', 1, 2, ([prefix, word]) => {
    const { dst, length } = prefixOf(prefix!)
    const mark = word === undefined ? 0 : markOf(word)
    if (mark === undefined) throw new VerbError(`${word}: pkt_mark=MARK expected`)
    if (!underlayOf(view).routes.delete(dst, length, mark))
      throw new VerbError(`Not found: no route ${addressText(dst)}/${length} that a user added`)
    return { text: 'OK' }
  })
}

const registerNeighbours = (registry: VerbRegistry, view: SwitchView, name: 'tnl/neigh' | 'tnl/arp'): void => {
  registry.register(`${name}/set`, 'BRIDGE IP MAC', 3, 3, ([bridge, ip, mac]) => {
    const address = addressOf(ip!)
    const lladdr = macOf(mac!)
    const underlay = underlayOf(view)
    if (!underlay.ownNeighbours.set(stacklessOf(underlay, bridge!), address, lladdr))
      throw new VerbError('there are too many neighbours')
    return { text: 'OK' }
  })

  registry.register(`${name}/flush`, '', 0, 0, () => {
    view.underlay()?.ownNeighbours.flush()
    return { text: 'OK' }
  })

  registry.register(`${name}/aging`, '[SECS]', 0, 1, ([seconds]) => {
    const { times } = underlayOf(view).ownNeighbours
    if (seconds === undefined) return { text: `${times.reachable / 1000}` }
    const value = /^\d{1,4}$/.test(seconds) ? Number(seconds) : 0
    if (value < 1 || value > MAX_AGING) throw new VerbError(`${seconds}: seconds, 1..${MAX_AGING} expected`)
    times.reachable = value * 1000
    return { text: 'OK' }
  })
}

export const registerUnderlayVerbs = (registry: VerbRegistry, view: SwitchView): void => {
  registerRoutes(registry, view)
  registerNeighbours(registry, view, 'tnl/neigh')
  registerNeighbours(registry, view, 'tnl/arp')
}
