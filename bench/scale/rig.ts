/**
 * A whole switch in one thread, ports without a kernel: tier 1, the offload module, the datapath and, if flows are to be offloaded, an eswitch, as in production. Flows are exact ones that
 * tier 1 makes (`translated`) or that are put as they are; with more than one mask they are the datapath's, the traffic's group telling the mask.
 */
import { loadProfile } from '../../src/eswitch/profile-file.ts'
import {
  createKey,
  K_DL_TYPE,
  K_ETH,
  K_IN_PORT,
  K_NW,
  K_NW_DST,
  K_NW_SRC,
  K_RECIRC_ID,
  K_TP,
  type Match,
} from '../../src/flow/key.ts'
import { parseFlow } from '../../src/flow/ofp-text.ts'
import { eventLoopScheduler } from '../../src/lib/scheduler.ts'
import { OffloadModule } from '../../src/offload/module.ts'
import { Ofproto } from '../../src/ofproto/ofproto.ts'
import { Udpif } from '../../src/ofproto/udpif.ts'
import { BATCH } from '../../src/port/thread-status.ts'
import { hugePages } from '../../src/port/worker-host.ts'
import { withProfile } from '../../test/pipeline/offload/with-profile.ts'
import { output, putFlow } from '../../test/pipeline/tiers/flows.ts'
import { World } from '../../test/pipeline/tiers/harness.ts'
import { PORTS, sourceOf, Traffic, targetOf } from './traffic.ts'

export const [IN, OUT] = [1, 2]
/** Flows put between two rounds of the workers: what their ring of commands holds, and no more. */
const CHUNK = 1000

/** The rule reads all that a packet has in layers 2 to 4: exact flows. */
const moves = [
  'NXM_OF_ETH_SRC[]->OXM_OF_METADATA[0..47]',
  'NXM_OF_ETH_DST[0..31]->NXM_NX_REG0[]',
  'NXM_OF_ETH_DST[32..47]->NXM_NX_REG1[0..15]',
  'NXM_OF_IP_SRC[]->NXM_NX_REG2[]',
  'NXM_OF_IP_DST[]->NXM_NX_REG3[]',
  'NXM_OF_UDP_SRC[]->NXM_NX_REG4[0..15]',
  'NXM_OF_UDP_DST[]->NXM_NX_REG4[16..31]',
].map((move) => `move:${move}`)
const RULE = `table=0,priority=10,udp,in_port=1,actions=${moves.join(',')},output:2`

export interface Rig {
  readonly world: World
  readonly ofproto: Ofproto
  readonly udpif: Udpif
  readonly offload: OffloadModule
  readonly traffic: Traffic
  /** Nanoseconds of processor time for each frame sent: `rounds` rounds of the tier that has the ports. */
  run(rounds: number): number
  /** Puts flows first .. first + n, by tier 1; resolves when every tier has them. Milliseconds that main and the workers needed. */
  put(first: number, n: number): Promise<{ main: number; workers: number }>
  /** Takes all flows out of every tier. */
  purge(): Promise<void>
}

/** The mask of a flow that RULE makes. */
export const exactMask = (): Int32Array => {
  const mask = createKey()
  for (const word of [K_RECIRC_ID, K_IN_PORT, K_ETH, K_ETH + 1, K_ETH + 2, K_DL_TYPE, K_NW_SRC, K_NW_DST, K_TP])
    mask[word] = -1
  mask[K_NW] = 0xff0000ff | 0
  return mask
}

/** Packets of a flow. */
export const keyOf = (flow: number, groups: number): Int32Array => {
  const key = createKey()
  key[K_IN_PORT] = IN
  key.set([0x02000000, 0x00020200, 0x00000001], K_ETH)
  key[K_DL_TYPE] = 0x0800 << 16
  key[K_NW_SRC] = sourceOf(flow)
  key[K_NW_DST] = targetOf(flow % groups)
  key[K_NW] = (17 << 24) | (64 << 8)
  key[K_TP] = PORTS
  return key
}

/** Flow `flow` under the mask of its group: exact addresses, and so many bits of either port. */
const masked = (flow: number, groups: number): Match => {
  const key = keyOf(flow, groups)
  const mask = createKey()
  for (const word of [K_RECIRC_ID, K_IN_PORT, K_DL_TYPE, K_NW_SRC, K_NW_DST]) mask[word] = -1
  const group = flow % groups
  mask[K_TP] = (0xffff0000 << (group % 16)) | ((0xffff << Math.floor(group / 16)) & 0xffff)
  for (let w = 0; w < key.length; w++) key[w] = key[w]! & mask[w]!
  return { key, mask }
}

/** `offloaded`: ports of an eswitch, which gets every flow; else the datapath's own. `groups`: masks. `translated`: tier 1 makes the flows. */
export const createRig = async (flows: number, offloaded: boolean, groups = 1, translated = false): Promise<Rig> => {
  const exact = exactMask()
  const actions = output(OUT)
  const world = new World({
    eswitches: offloaded ? { nic0: flows } : {},
    small: 2048,
    big: 256,
    hugePages,
    flows: flows + 16,
  })
  const { clock, dpif } = world
  const ofproto = new Ofproto(clock)
  const offload = new OffloadModule(dpif, { clock, scheduler: eventLoopScheduler })
  const udpif = new Udpif({ ofproto, dpif: offload, clock, scheduler: eventLoopScheduler })
  udpif.revalidator.maxIdle = Number.MAX_SAFE_INTEGER / 2
  const bridge = ofproto.addBridge('br0')
  const traffic = new Traffic(groups)
  const sink = new Traffic()
  if (offloaded) {
    await world.start()
    offload.addEswitch(withProfile(world.eswitch('nic0'), { ...loadProfile('default'), tableSize: flows }))
  }
  for (const no of [IN, OUT]) {
    const name = `vf${no}`
    const port = no === IN ? traffic : sink
    if (offloaded) {
      await world.run(dpif.portAdd({ no, name, kind: 'representor', eswitch: 'nic0' }))
      await world.run(world.eswitch('nic0').portAdd(no, name, { type: 'object', port }))
    } else await world.run(dpif.portAdd({ no, name, kind: 'memory' }, { type: 'object', port }))
    bridge.addPort({ name, dpPort: no, ofport: no })
  }
  bridge.tables.add(parseFlow(RULE))
  const ready = Int32Array.of(IN)

  const settle = async (): Promise<number> => {
    const start = performance.now()
    await world.settle(1_000_000)
    return performance.now() - start
  }
  return {
    world,
    ofproto,
    udpif,
    offload,
    traffic,
    purge: async () => {
      for (const { id } of [...dpif.flows()]) if (!translated) offload.flowDel(id)
      udpif.purge()
      await settle()
    },
    run: (rounds) => {
      const tier = offloaded ? world.core('nic0') : world.datapath
      const now = clock.now()
      traffic.flowing = true
      const start = process.cpuUsage()
      const before = sink.sent
      for (let i = 0; i < rounds; i++) tier.round(now, ready, 1)
      const { user, system } = process.cpuUsage(start)
      traffic.flowing = false
      const sent = sink.sent - before
      if (sent !== rounds * BATCH) throw new Error(`${sent} frames were sent, ${rounds * BATCH} expected`)
      return ((user + system) * 1000) / sent
    },
    put: async (first, n) => {
      let main = 0
      let workers = 0
      for (let flow = first; flow < first + n; ) {
        const end = Math.min(first + n, flow + CHUNK)
        const start = performance.now()
        for (; flow < end; flow++) {
          if (groups > 1) putFlow(dpif, masked(flow, groups), output(OUT))
          else if (!translated)
            offload.flowPut({
              id: offload.flowNew(),
              ufid: `${flow}`,
              match: { key: keyOf(flow, 1), mask: exact },
              actions,
            })
          else if (!udpif.preinstall(keyOf(flow, groups))) throw new Error(`flow ${flow} was not put`)
        }
        main += performance.now() - start
        workers += await settle()
      }
      return { main, workers }
    },
  }
}
