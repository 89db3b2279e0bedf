/** The namespaces in use: one netlink socket each, opened at the first use and closed after the last. Main thread. */
import { existsSync } from 'node:fs'
import { Namespace } from '../netlink/namespace.ts'
import { nativeTransport } from '../netlink/native-transport.ts'

/** True for the process's own. */
export const namespaceExists = (netns: string | undefined): boolean =>
  netns === undefined || existsSync(`/run/netns/${netns}`)

interface Use {
  readonly opened: Promise<Namespace>
  users: number
}

/** One user's hold on a namespace. */
export interface Hold {
  readonly namespace: Namespace
  /** To be called once. */
  give(): void
}

export class Namespaces {
  /** By name. What has gone is not here any more: a namespace that gets its name later is another one. */
  readonly #uses = new Map<string, Use>()
  readonly #onError: (netns: string, error: Error) => void
  readonly #onGone: (namespace: Namespace, netns: string) => void

  /** '' stands for the process's own namespace. */
  constructor(onError: (netns: string, error: Error) => void, onGone: (namespace: Namespace, netns: string) => void) {
    this.#onError = onError
    this.#onGone = onGone
  }

  /** Rejects with an Error that names the namespace when there is none. */
  async take(netns = ''): Promise<Hold> {
    const use = this.#uses.get(netns) ?? this.#open(netns)
    use.users++
    try {
      const namespace = await use.opened
      return { namespace, give: () => this.#give(netns, use) }
    } catch (error) {
      this.#forget(netns, use)
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
      throw new Error(missing ? `there is no namespace ${netns} (ip netns add ${netns})` : (error as Error).message, {
        cause: error,
      })
    }
  }

  close(): void {
    for (const use of this.#uses.values()) this.#end(use)
    this.#uses.clear()
  }

  #open(netns: string): Use {
    const opened = Namespace.open({
      transport: nativeTransport,
      ...(netns === '' ? {} : { netns }),
      onError: (error) => this.#onError(netns, error),
      onGone: () => {
        this.#forget(netns, use)
        void opened.then((namespace) => this.#onGone(namespace, netns))
      },
    })
    const use: Use = { opened, users: 0 }
    this.#uses.set(netns, use)
    return use
  }

  #give(netns: string, use: Use): void {
    if (--use.users > 0) return
    this.#forget(netns, use)
    this.#end(use)
  }

  #forget(netns: string, use: Use): void {
    if (this.#uses.get(netns) === use) this.#uses.delete(netns)
  }

  #end(use: Use): void {
    use.opened.then(
      (namespace) => namespace.close(),
      () => {},
    )
  }
}
