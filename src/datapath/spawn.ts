/** Starts the datapath's worker. Main thread. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { native } from '../native/binding.ts'
import { createArena, mostBig } from '../packet/slot.ts'
import { postMail, STATUS_STOP } from '../port/thread-status.ts'
import { workerFile } from '../port/worker-file.ts'
import { DatapathClient } from './client.ts'
import type { DatapathEvent } from './control.ts'
import { createDatapathShared, type DatapathShared, OWNER_FIRST_ESWITCH } from './shared.ts'
import { WAITING_LIMITS, type WaitingLimits } from './waiting.ts'

export interface DatapathWorkerData {
  readonly shared: DatapathShared
  readonly port: MessagePort
  readonly epoll: number
  readonly eventfd: number
  readonly limits: WaitingLimits
}

export interface DatapathOptions {
  /** Eswitches that memory is set aside for. Default 8. */
  readonly eswitches?: number
  /** Slots of each thread, by class. Default 2048 small and 1024 big ones, fewer where many eswitches must share 2 GiB. Untouched slots cost no memory. */
  readonly small?: number
  readonly big?: number
  /** Highest flow limit that can be set. Default 200,000. */
  readonly flows?: number
  readonly limits?: WaitingLimits
  /** The worker ended by itself: the switch cannot go on. */
  readonly onDeath?: (error: Error) => void
}

export interface RunningDatapath {
  readonly client: DatapathClient
  /** That eswitches signal. */
  readonly eventfd: number
  /** Ends the worker. Resolves when it uses no descriptor any more. */
  stop(): Promise<void>
}

/** Resolves when the worker runs; rejects when it ends before. */
export const startDatapath = async (options: DatapathOptions = {}): Promise<RunningDatapath> => {
  const file = workerFile(import.meta.url, 'worker')
  const owners = OWNER_FIRST_ESWITCH + (options.eswitches ?? 8)
  const small = options.small ?? 2048
  const arena = createArena(owners, small, options.big ?? Math.min(1024, mostBig(owners, small)))
  const shared = createDatapathShared(arena, options.flows ?? 200_000)
  const eventfd = native.eventfd()
  const epoll = native.epollCreate()
  const { port1, port2 } = new MessageChannel()
  const workerData: DatapathWorkerData = {
    shared,
    port: port2,
    epoll,
    eventfd,
    limits: options.limits ?? WAITING_LIMITS,
  }
  const worker = new Worker(file, { workerData, transferList: [port2], name: 'datapath' })
  let stopping = false
  let dead = false
  let started = false
  let failStart: (error: Error) => void = () => {}
  const failed = new Promise<never>((_, reject) => {
    failStart = reject
  })
  failed.catch(() => {})
  const client = new DatapathClient(shared, {
    post: (message) => postMail(port1, shared.status, message),
    wake: () => native.eventfdSignal(eventfd),
    later: (task, ms) => {
      const run = (): void => {
        if (!stopping) task()
      }
      if (ms === 0) setImmediate(run)
      else setTimeout(run, ms).unref()
    },
  })
  port1.on('message', (event: DatapathEvent) => client.receive(event))
  const died = (error: Error): void => {
    if (stopping || dead) return
    dead = true
    if (started) options.onDeath?.(error)
    else failStart(error)
  }
  worker.on('error', died)
  const exited = new Promise<void>((resolve) =>
    worker.on('exit', (code) => {
      died(new Error(`the datapath worker ended with code ${code}`))
      resolve()
    }),
  )
  await Promise.race([client.barrier(), failed])
  started = true
  return {
    client,
    eventfd,
    stop: async () => {
      if (stopping) return exited
      stopping = true
      Atomics.store(shared.status, STATUS_STOP, 1)
      native.eventfdSignal(eventfd)
      await exited
      port1.close()
      native.close(epoll)
      native.close(eventfd)
    },
  }
}
