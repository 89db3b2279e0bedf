/** An eswitch's thread: a thin shell around core.ts. Started by spawn.ts. */
import { workerData } from 'node:worker_threads'
import { native } from '../native/binding.ts'
import { Poller } from '../port/poller.ts'
import { runLoop } from '../port/thread.ts'
import { createPortHost, hugePages, signal } from '../port/worker-host.ts'
import type { EswitchControl } from './control.ts'
import { EswitchCore } from './core.ts'
import type { EswitchWorkerData } from './spawn.ts'

/** No answer takes so long unless the thread that gives it is held up; ports are not read meanwhile. */
const ANSWER_MS = 1

const data = workerData as EswitchWorkerData
const { shared, port } = data
const poller = new Poller(data.epoll, data.eventfd)
const core = new EswitchCore(shared, {
  ...createPortHost(shared.arena, shared.portStats, poller),
  hugePages,
  post: (event) => port.postMessage(event),
  wakeDatapath: () => signal(data.datapathEventfd),
  // The signal stays: the next wait takes it, and what else it may stand for.
  awaitSignal: () => native.eventfdWait(data.eventfd, ANSWER_MS),
})

runLoop(
  {
    round: (now, ready, n) => {
      poller.tick(now)
      return core.round(now, ready, n)
    },
    sleep: () => core.sleep(),
    awake: () => core.awake(),
    doze: (now) => core.doze(now),
    patience: () => Math.min(core.patience, poller.patience),
    control: (message) => core.control(message as EswitchControl),
  },
  poller,
  data.eventfd,
  shared.status,
  port,
)
port.close()
