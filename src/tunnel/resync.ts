/**
 * Dumps of tables on one socket, one after another: whichever are wanted, and again when news were lost meanwhile. Of what a finished dump and the news
 * during it have not mentioned, the table is told to let go. Main thread.
 */
import type { NetlinkMessage } from '../netlink/codec.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import type { Timers } from '../netlink/transport.ts'

export interface DumpedTable {
  readonly type: number
  readonly payload: () => Buffer
  /** A part; must not throw. */
  readonly part: (message: NetlinkMessage) => void
  /** A dump begins, or begins again: what is heard of from now on is there. */
  readonly begin: () => void
  /** It is over, nothing was lost: what has not been heard of is gone. */
  readonly sweep: () => void
}

/** From a doubt to the dump that settles it: a burst of doubts is one dump. */
const CONFIRM_MS = 20
/** A large table is confirmed less often: a millisecond more for so many parts of the last dumps, which keeps confirming below a fifth of a core. */
const PARTS_PER_MS = 50
/** From a failed dump to the next one. */
const RETRY_MS = 1000

export class Resync {
  /** Dumps of one table each. */
  dumps = 0
  readonly #socket: NetlinkSocket
  readonly #timers: Timers
  readonly #onError: (error: Error) => void
  readonly #recovered: () => void
  readonly #wanted = new Set<DumpedTable>()
  readonly #doubtful = new Set<DumpedTable>()
  readonly #idle: (() => void)[] = []
  /** Parts of the last dump of each table. */
  readonly #sizes = new Map<DumpedTable, number>()
  #losses = 0
  #recovering = false
  #running = false
  #waiting = false

  /** `recovered`: all tables have been read after a loss. */
  constructor(
    socket: NetlinkSocket,
    timers: Timers,
    onError: (error: Error) => void,
    recovered: () => void = () => {},
  ) {
    this.#socket = socket
    this.#timers = timers
    this.#onError = onError
    this.#recovered = recovered
  }

  /** Rejects at the first dump that fails. */
  async first(tables: readonly DumpedTable[]): Promise<void> {
    for (const table of tables) this.#wanted.add(table)
    await this.#run()
  }

  /** News were lost. */
  lost(tables: readonly DumpedTable[]): void {
    this.#losses++
    this.#recovering = true
    this.#start(tables)
  }

  /** The kernel may have changed these without a word. */
  confirm(tables: readonly DumpedTable[]): void {
    for (const table of tables) this.#doubtful.add(table)
    if (this.#waiting || this.#socket.closed) return
    this.#waiting = true
    let parts = 0
    for (const table of tables) parts += this.#sizes.get(table) ?? 0
    this.#timers.after(CONFIRM_MS + parts / PARTS_PER_MS, () => {
      this.#waiting = false
      const doubtful = [...this.#doubtful]
      this.#doubtful.clear()
      this.#start(doubtful)
    })
  }

  /** Resolves when no dump is under way nor about to be. */
  settled(): Promise<void> {
    if (!this.#running && !this.#waiting) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #start(tables: readonly DumpedTable[]): void {
    for (const table of tables) this.#wanted.add(table)
    if (this.#running) return
    this.#run().catch((error: Error) => {
      if (this.#socket.closed) return
      this.#onError(error)
      this.#timers.after(RETRY_MS, () => this.#start([]))
    })
  }

  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    try {
      for (const table of this.#wanted) {
        await this.#dump(table)
        // Asked for again meanwhile: the set then has it again, at its end.
      }
      if (this.#recovering) {
        this.#recovering = false
        this.#recovered()
      }
    } finally {
      this.#running = false
      if (!this.#waiting) for (const resolve of this.#idle.splice(0)) resolve()
    }
  }

  async #dump(table: DumpedTable): Promise<void> {
    this.#wanted.delete(table)
    this.dumps++
    const losses = this.#losses
    let parts = 0
    const begin = (): void => {
      parts = 0
      table.begin()
    }
    const part = (message: NetlinkMessage): void => {
      parts++
      table.part(message)
    }
    begin()
    try {
      await this.#socket.dump(table.type, table.payload(), part, begin)
      this.#sizes.set(table, parts)
    } catch (error) {
      this.#wanted.add(table)
      throw error
    }
    // After a loss the next dump, wanted by then, is the one to judge by.
    if (losses === this.#losses) table.sweep()
  }
}
