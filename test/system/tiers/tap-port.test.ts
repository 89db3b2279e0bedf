/** The compliance suite of ports over a TAP; the far side is an AF_PACKET socket of our own on the interface. */
import { native } from '../../../src/native/binding.ts'
import { createArena, M_LEN, M_OFF, META_WORDS, SlotPool } from '../../../src/packet/slot.ts'
import { PacketPort } from '../../../src/port/afpacket.ts'
import { createPortStats } from '../../../src/port/contract.ts'
import { TapPort } from '../../../src/port/tap.ts'
import { RX_ROOM } from '../../../src/port/thread-status.ts'
import { NO, portCompliance } from '../../compliance/port.ts'
import { Testbed } from '../kit/testbed.ts'
import { until } from './world.ts'

for (const offloads of ['best', 'none'] as const)
  portCompliance(`tap with ${offloads === 'best' ? 'all' : 'no'} offloads`, async (arena, stats) => {
    const bed = new Testbed()
    const guest = await bed.guest('g')
    const tap = native.openTap({ name: 't0', netns: guest.netns, offloads })
    await guest.sysctl('net.ipv6.conf.t0.disable_ipv6', 1)
    await guest.must(['ip', 'link', 'set', 't0', 'up', 'arp', 'off'])
    const packet = native.openPacket({ name: 't0', netns: guest.netns, vnetHdr: false })
    const far = createArena(1, 64, 1)
    const pool = new SlotPool(far, 0)
    const peer = new PacketPort(
      't0',
      1,
      { fd: packet.fd, vnetHdr: packet.vnetHdr, offloads: 0 },
      far,
      createPortStats(),
    )
    const slots = new Int32Array(RX_ROOM)
    return {
      port: new TapPort('t0', NO, tap, arena, stats),
      send: async (frame) => {
        const slot = pool.take(frame.length)
        const m = slot * META_WORDS
        far.bytes.set(frame, far.meta[m + M_OFF]!)
        far.meta.fill(0, m + M_LEN, m + META_WORDS)
        far.meta[m + M_LEN] = frame.length
        peer.tx(Int32Array.of(slot), 0, 1)
        pool.give(slot)
      },
      receive: async (n) => {
        const got: Uint8Array[] = []
        await until(() => {
          const k = peer.rx(pool, 1, slots, 64)
          for (let i = 0; i < k; i++) {
            const m = slots[i]! * META_WORDS
            got.push(far.bytes.slice(far.meta[m + M_OFF]!, far.meta[m + M_OFF]! + far.meta[m + M_LEN]!))
            pool.give(slots[i]!)
          }
          return got.length >= n
        }, 'frames arrive')
        return got
      },
      close: async () => {
        native.close(packet.fd)
        native.close(tap.fd)
        await bed.close()
      },
    }
  })
