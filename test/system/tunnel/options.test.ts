import { afterAll, beforeAll, expect, it } from 'vitest'
import { Capture } from '../kit/capture.ts'
import { needKernel } from '../kit/kernel.ts'
import { ping } from '../kit/ping.ts'
import { complaints, fields } from '../kit/tshark.ts'
import { ipBatch, kernelVtep } from '../kit/underlay.ts'
import { untilBoth } from './flows.ts'
import { A, B, type Single, startSingle } from './single.ts'

/**
 * Options of tunnels, with the kernel's VXLAN devices at the other end: b is behind one on UDP port 8472 that inherits TOS and TTL and has checksums; c, in the same namespace, behind one
 * on 4789, which ours reaches by rules that set the endpoint.
 */
const C = { ip: '10.1.0.3', mac: '02:00:00:00:73:03' }
const VNI = 200

let it_: Single
beforeAll(async () => {
  it_ = await startSingle({
    cable: true,
    tunnel: { dst_port: 8472, tos: 'inherit', ttl: 'inherit', csum: true },
    device: { dstPort: 8472, options: 'tos inherit ttl inherit udpcsum' },
    flows: (local, remote) => [
      `in_port=1,dl_src=${A.mac},dl_dst=${B.mac},actions=output:2`,
      `in_port=1,dl_src=${A.mac},dl_dst=${C.mac},actions=set_field:${remote}->tun_dst,set_field:${VNI}->tun_id,output:3`,
      `in_port=2,dl_src=${B.mac},dl_dst=${A.mac},actions=output:1`,
      `in_port=3,dl_src=${C.mac},dl_dst=${A.mac},tun_src=${remote},tun_dst=${local},tun_id=${VNI},actions=output:1`,
    ],
  })
  const { guests, local, remote } = it_
  await kernelVtep(guests.peer, {
    ...{ vni: VNI, local: remote, remote: local, guest: guests.b, mac: C.mac, link: 'eth1' },
    options: 'udpcsum',
  })
  await ipBatch(guests.b, [
    `address add ${C.ip}/32 dev eth1`,
    'link set eth1 up',
    `route add ${A.ip}/32 dev eth1 table 3`,
    `rule add from ${C.ip} lookup 3`,
    `neigh replace ${A.ip} lladdr ${A.mac} dev eth1 nud permanent`,
  ])
  await ipBatch(guests.a, [`neigh replace ${C.ip} lladdr ${C.mac} dev vf0 nud permanent`])
}, 60_000)
afterAll(() => it_?.bed.close())

/** DSCP EF, and ECT(0). */
const TOS = 0xba
const TTL = 33

it.for([
  { name: 'dst_port 8472, tos and ttl inherit, csum', to: B, port: 8472, vni: 100, outer: [TOS, TTL], sums: true },
  { name: 'remote_ip and key by flow, on 4789', to: C, port: 4789, vni: VNI, outer: [TOS & 3, 64], sums: false },
])('$name: both ways by the NIC, and as tshark expects it', async ({ to, port, vni, outer, sums }, context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const { bed, daemon, fabric, guests, local } = it_
  expect(await ping(guests.a, to.ip)).toMatchObject({ loss: 0 })
  const send = ['ping', '-n', '-c', '10', '-i', '0.02', '-W', '2', '-Q', String(TOS), '-t', String(TTL), to.ip]
  await guests.a.must(send)
  await untilBoth(daemon, A.mac, to.mac, 'offloaded')
  const capture = await Capture.start(bed, fabric!, 'wire1', { filter: `udp port ${port}` })
  const { frames } = (await daemon.counters()).dpif
  await guests.a.must(send)
  await capture.until(20)
  expect((await daemon.counters()).dpif.frames - frames).toBeLessThan(5)
  await capture.stop()
  expect(await complaints(capture.path)).toEqual([])
  const names = ['ip.src', 'ip.dsfield', 'ip.ttl', 'udp.dstport', 'vxlan.vni', 'udp.checksum', 'udp.checksum.status']
  const rows = await fields(capture.path, ...names)
  const ours = rows.filter(([src]) => src![0] === local)
  expect({ ours: ours.length, theirs: rows.length - ours.length }).toEqual({ ours: 10, theirs: 10 })
  for (const [, tos, ttl, dst, id, sum, status] of ours) {
    expect([tos!.map(Number), ttl!.map(Number), dst, id]).toEqual([
      [outer[0], TOS],
      [outer[1], TTL],
      [String(port)],
      [String(vni)],
    ])
    // 1 is good, 3 not there.
    expect([sum![0] !== '0x0000', status![0]]).toEqual(sums ? [true, '1'] : [false, '3'])
  }
})
