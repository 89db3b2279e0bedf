/** The three measurements: bulk TCP, rate of small packets, round-trip time. */
import { iperf } from '../../test/system/kit/iperf.ts'
import { ping } from '../../test/system/kit/ping.ts'
import { program } from './programs.ts'
import type { Setup } from './setups.ts'

/** One figure of one set-up. Higher is better, except for times. */
export interface Figures {
  /** Gbit/s at the receiver, one stream, default offloads. */
  readonly tcp: number
  /** Packets per second at the receiver while the sender offers as many 64-byte frames as it can, and the share that was lost in percent. */
  readonly packets: number
  readonly loss: number
  /** Microseconds. */
  readonly rttMin: number
  readonly rttAvg: number
}

const PORT = '7777'

const smallPackets = async (setup: Setup, seconds: number): Promise<{ packets: number; loss: number }> => {
  const small = await program('small')
  const receiver = setup.b.start([small, 'receive', PORT])
  await receiver.until(/ready/)
  const sender = JSON.parse(await setup.a.must([small, 'send', setup.address, PORT, String(seconds)])) as {
    sent: number
  }
  const { stdout } = await receiver.stop()
  const { received, seconds: span } = JSON.parse(stdout.replace('ready\n', '')) as { received: number; seconds: number }
  return { packets: span > 0 ? received / span : 0, loss: (1 - received / sender.sent) * 100 }
}

/** Measures one set-up once. */
export const measure = async (setup: Setup, seconds: number, pings: number): Promise<Figures> => {
  await ping(setup.a, setup.address, { count: 3, interval: 0.05 })
  const tcp = await iperf(setup.a, setup.b, setup.address, { seconds })
  await setup.check()
  const { packets, loss } = await smallPackets(setup, seconds)
  const { rtt } = await ping(setup.a, setup.address, { count: pings, interval: 0.01 })
  if (!rtt) throw new Error(`${setup.name}: no answer to ping after the small packets`)
  return { tcp: tcp.rate / 1e9, packets, loss, rttMin: rtt.min * 1000, rttAvg: rtt.avg * 1000 }
}
