/** Super-frames through the tunnels of tier 3. */
import { describe, expect, it } from 'vitest'
import { GSO_TCPV4, GSO_UDP_TUNNEL_IPV4 } from '../../../src/packet/slot.ts'
import { PS_TX_BYTES, PS_TX_PACKETS } from '../../../src/port/contract.ts'
import { output, portMatch, putFlow } from './flows.ts'
import { build } from './frames.ts'
import { counted, nic, open, world } from './tunnel-nic.ts'
import { entry, HEADERS, innerMatch, outerMatch, pop, push } from './tunnels.ts'

describe('super-frames', () => {
  it('go in and out of a tunnel whole, and count as the segments that they are on the wire', async () => {
    await open()
    nic().encapPut(entry(5, 2, { mtu: 1600 }))
    nic().rulePut({ id: 1, match: portMatch(1), actions: push(5) })
    nic().rulePut({ id: 2, match: outerMatch(3), actions: pop })
    nic().rulePut({ id: 3, match: innerMatch(3), actions: output(1) })
    await world.settle()
    const payload = Array.from({ length: 5 * 1448 + 100 }, (_, i) => i & 255)
    const frame = build(
      {
        dst: '02:00:00:00:00:02',
        src: '02:00:00:00:00:01',
        ip: { src: '10.0.0.1', dst: '10.0.0.2' },
        tcp: { src: 1, dst: 2 },
        payload,
      },
      true,
    )
    const facts = { vflags: 1, gsoType: GSO_TCPV4, gsoSize: 1448, hdrLen: 54, csumStart: 34, csumOff: 16 }
    world.port(1).inject(frame, facts)
    await world.settle()
    const out = world.port(2).sent[0]!
    expect(out.vnet.gsoType).toBe(GSO_TCPV4 | GSO_UDP_TUNNEL_IPV4)
    const onWire = payload.length + 6 * 54
    expect([counted(1), world.count(2, PS_TX_PACKETS), world.count(2, PS_TX_BYTES)]).toEqual([
      [6, onWire],
      6,
      onWire + 6 * HEADERS,
    ])
    world.port(3).inject(out.data, out.vnet)
    await world.settle()
    expect([counted(2), counted(3)]).toEqual([
      [6, onWire + 6 * HEADERS],
      [6, onWire],
    ])
    expect([world.port(1).sent[0]!.data, world.port(1).sent[0]!.vnet]).toMatchObject([frame, facts])
  })

  it('are too big only if a segment is', async () => {
    await open()
    const taken: number[] = []
    world.dpif.onTooBig((slot, id) => {
      taken.push(id)
      world.dpif.upcallDone(slot, [])
    })
    for (const [id, mtu] of [
      [5, 1552],
      [6, 1551],
    ] as const) {
      nic().encapPut(entry(id, 2, { mtu }))
      world.dpif.encapPut(entry(id, 2, { mtu }))
    }
    putFlow(world.dpif, portMatch(1), push(6))
    await world.settle()
    const frame = build(
      {
        dst: '02:00:00:00:00:02',
        src: '02:00:00:00:00:01',
        ip: { src: '10.0.0.1', dst: '10.0.0.2' },
        tcp: { src: 1, dst: 2 },
        payload: Array<number>(3000).fill(1),
      },
      true,
    )
    // 54 bytes of headers and 1,462 of data in the longest one, 36 without Ethernet's in front.
    const facts = { vflags: 1, gsoType: GSO_TCPV4, gsoSize: 1462, hdrLen: 54, csumStart: 34, csumOff: 16 }
    nic().rulePut({ id: 1, match: portMatch(1), actions: push(5) })
    await world.settle()
    world.port(1).inject(frame, facts)
    await world.settle()
    expect([world.port(2).sent.length, taken]).toEqual([1, []])
    nic().rulePut({ id: 1, match: portMatch(1), actions: push(6) })
    await world.settle()
    world.port(1).inject(frame, facts)
    await world.settle()
    expect([world.port(2).sent.length, taken]).toEqual([1, [6]])
  })
})
