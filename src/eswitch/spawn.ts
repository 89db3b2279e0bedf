/** Starts workers for an eswitch client. Main thread. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { native } from '../native/binding.ts'
import { postMail } from '../port/thread-status.ts'
import { workerFile } from '../port/worker-file.ts'
import type { EswitchEvent } from './control.ts'
import type { EswitchSpawn } from './host.ts'
import type { EswitchShared } from './shared.ts'

export interface EswitchWorkerData {
  readonly shared: EswitchShared
  readonly port: MessagePort
  readonly epoll: number
  readonly eventfd: number
  readonly datapathEventfd: number
}

/** `datapathEventfd`: from startDatapath. Descriptors that a worker polls by outlive it: the datapath may signal a dead worker for a moment. */
export const eswitchWorkers =
  (name: string, datapathEventfd: number): EswitchSpawn =>
  (shared, receive, gone) => {
    const eventfd = native.eventfd()
    const epoll = native.epollCreate()
    const { port1, port2 } = new MessageChannel()
    const workerData: EswitchWorkerData = { shared, port: port2, epoll, eventfd, datapathEventfd }
    const worker = new Worker(workerFile(import.meta.url, 'worker'), {
      workerData,
      transferList: [port2],
      name: `eswitch ${name}`,
    })
    port1.on('message', (event: EswitchEvent) => receive(event))
    worker.on('error', (error) => gone(`worker failed: ${error.message}`))
    const exited = new Promise<void>((resolve) =>
      worker.on('exit', (code) => {
        gone(`worker ended with code ${code}`)
        resolve()
      }),
    )
    const end = async (): Promise<void> => {
      const terminated = worker.terminate()
      // It does not hear of that within a wait.
      native.eventfdSignal(eventfd)
      await terminated
      await exited
      port1.close()
      native.close(epoll)
      // The datapath signals it until it is told that the worker is gone.
      setTimeout(() => native.close(eventfd), 10_000).unref()
    }
    let ended: Promise<void> | undefined
    return {
      eventfd,
      post: (message) => postMail(port1, shared.status, message),
      wake: () => native.eventfdSignal(eventfd),
      terminate: () => {
        ended ??= end()
        return ended
      },
    }
  }
