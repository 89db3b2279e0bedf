/** The datapath's thread: a thin shell around core.ts. Started by spawn.ts. */
import { workerData } from 'node:worker_threads'
import { Poller } from '../port/poller.ts'
import { runLoop } from '../port/thread.ts'
import { createPortHost, hugePages, signal } from '../port/worker-host.ts'
import type { DatapathControl } from './control.ts'
import { Datapath } from './core.ts'
import type { DatapathWorkerData } from './spawn.ts'

const data = workerData as DatapathWorkerData
const { shared, port } = data
const poller = new Poller(data.epoll, data.eventfd)
const datapath = new Datapath(
  shared,
  {
    ...createPortHost(shared.arena, shared.portStats, poller),
    hugePages,
    post: (event) => port.postMessage(event),
    signal,
  },
  data.limits,
)

runLoop(
  {
    round: (now, ready, n) => {
      poller.tick(now)
      return datapath.round(now, ready, n)
    },
    sleep: () => datapath.sleep(),
    awake: () => datapath.awake(),
    doze: (now) => datapath.doze(now),
    patience: () => Math.min(datapath.patience, poller.patience),
    control: (message) => datapath.control(message as DatapathControl),
  },
  poller,
  data.eventfd,
  shared.status,
  port,
)
port.close()
