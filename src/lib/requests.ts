/** What a worker is asked by message, and answers in whatever order: a number goes with each. Main thread. */

interface Promised {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Each of the messages without the number that `ask` adds. */
export type Unnumbered<M> = M extends { readonly seq: number } ? Omit<M, 'seq'> : never

/** `M`: all messages to the worker, those included that it does not answer. */
export class Requests<M> {
  readonly #post: (message: M) => void
  readonly #promised = new Map<number, Promised>()
  #seq = 0
  #lost: Error | undefined

  constructor(post: (message: M) => void) {
    this.#post = post
  }

  /** Resolves when the worker has done it. Rejects when it refuses, or is lost. */
  ask(request: Unnumbered<M>): Promise<void> {
    if (this.#lost) return Promise.reject(this.#lost)
    const seq = this.#seq++
    return new Promise((resolve, reject) => {
      this.#promised.set(seq, { resolve, reject })
      this.#post({ ...request, seq } as M)
    })
  }

  answered({ seq, error }: { readonly seq: number; readonly error?: string }): void {
    const promised = this.#promised.get(seq)
    this.#promised.delete(seq)
    if (error === undefined) promised?.resolve()
    else promised?.reject(new Error(error))
  }

  /** The worker is gone, or about to be: it gets no message any more, and will answer none. */
  lose(why: Error): void {
    this.#lost = why
    for (const { reject } of this.#promised.values()) reject(why)
    this.#promised.clear()
  }
}
