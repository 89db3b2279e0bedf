/** The namespaces in use: one netlink socket each, opened at the first use and closed after the last. Main thread. */
import { Namespace } from '../netlink/namespace.ts'
import { nativeTransport } from '../netlink/native-transport.ts'

interface Use {
  readonly opened: Promise<Namespace>
  users: number
}

export class Namespaces {
  readonly #uses = new Map<string, Use>()
  readonly #onError: (netns: string, error: Error) => void
  readonly #onGone: (netns: string) => void

  /** '' stands for the process's own namespace. */
  constructor(onError: (netns: string, error: Error) => void, onGone: (netns: string) => void) {
    this.#onError = onError
    this.#onGone = onGone
  }

  /** Each `take` needs a `give`. Rejects with an Error that names the namespace when there is none. */
  async take(netns = ''): Promise<Namespace> {
    let use = this.#uses.get(netns)
    if (use === undefined) {
      const opened = Namespace.open({
        transport: nativeTransport,
        ...(netns === '' ? {} : { netns }),
        onError: (error) => this.#onError(netns, error),
        onGone: () => this.#onGone(netns),
      })
      use = { opened, users: 0 }
      this.#uses.set(netns, use)
    }
    use.users++
    try {
      return await use.opened
    } catch (error) {
      this.#uses.delete(netns)
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
      throw new Error(missing ? `there is no namespace ${netns} (ip netns add ${netns})` : (error as Error).message, {
        cause: error,
      })
    }
  }

  give(netns = ''): void {
    const use = this.#uses.get(netns)
    if (use === undefined || --use.users > 0) return
    this.#uses.delete(netns)
    use.opened.then(
      (namespace) => namespace.close(),
      () => {},
    )
  }

  close(): void {
    for (const use of this.#uses.values())
      use.opened.then(
        (namespace) => namespace.close(),
        () => {},
      )
    this.#uses.clear()
  }
}
