import { ReferenceEswitch } from '../../src/eswitch/reference.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { testProfile, World } from '../pipeline/tiers/harness.ts'
import { eswitchCompliance } from './eswitch.ts'

eswitchCompliance('the reference', async () => {
  const eswitch = new ReferenceEswitch('ref', '0a:00:00:00:00:01', testProfile(4), new ManualClock())
  for (const no of [1, 2, 3]) eswitch.addPort(no)
  return {
    eswitch,
    send: async (port, frame) => eswitch.receive(port, frame),
    settle: async () => {},
    taken: (port) => {
      const mine = eswitch.sent.filter((o) => o.port === port)
      const others = eswitch.sent.filter((o) => o.port !== port)
      eswitch.sent.splice(0, eswitch.sent.length, ...others)
      return mine.map((o) => o.data)
    },
    missed: () => eswitch.missed.splice(0).length,
    lose: async () => eswitch.lose(),
    recover: async () => eswitch.recover(),
  }
})

eswitchCompliance('the worker', async () => {
  const world = new World({ eswitches: { nic0: 4 } })
  await world.start()
  for (const no of [1, 2, 3]) await world.addVf(no, `vf${no}`, 'nic0')
  let missed = 0
  world.dpif.onUpcall((slot) => {
    missed++
    world.dpif.upcallDone(slot, [])
  })
  return {
    eswitch: world.eswitch('nic0'),
    send: async (port, frame) => {
      world.port(port).inject(frame)
      await world.settle()
    },
    settle: () => world.settle(),
    taken: (port) =>
      world
        .port(port)
        .sent.splice(0)
        .map((f) => f.data),
    missed: () => {
      const n = missed
      missed = 0
      return n
    },
    lose: async () => {
      world.kill('nic0')
      await world.settle()
    },
    recover: async () => {
      world.clock.advance(20_000)
      await world.settle()
    },
  }
})
