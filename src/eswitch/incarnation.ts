/** One life of an eswitch's worker, as the main thread sees it: its thread, its rings, and what it was asked and has not answered. */
import { encapRecordWords, writeEncapRecord } from '../flow/encap-record.ts'
import type { EncapRow } from '../flow/encap-table.ts'
import type { Match } from '../flow/key.ts'
import { flowRecordWords, writeFlowRecord } from '../flow/program-record.ts'
import { CommandWriter } from '../lib/command-writer.ts'
import { Requests, type Unnumbered } from '../lib/requests.ts'
import { RingConsumer } from '../lib/ring.ts'
import {
  ENCAP_DEL,
  ENCAP_PUT,
  type EswitchControl,
  type EswitchEvent,
  RULE_ACTIONS,
  RULE_DEL,
  RULE_GONE,
  RULE_PUT,
} from './control.ts'
import type { EswitchThread } from './host.ts'
import type { EswitchShared } from './shared.ts'

export class Incarnation {
  readonly shared: EswitchShared
  readonly thread: EswitchThread
  /** Clock milliseconds. */
  readonly startedAt: number
  readonly #name: string
  readonly #commands: CommandWriter
  readonly #replies: RingConsumer
  readonly #requests: Requests<EswitchControl>
  #scheduled = false
  #lost = false

  /** `name`: the eswitch's, for messages. */
  constructor(name: string, shared: EswitchShared, thread: EswitchThread, startedAt: number) {
    this.#name = name
    this.shared = shared
    this.thread = thread
    this.startedAt = startedAt
    this.#requests = new Requests((message) => this.post(message))
    this.#commands = new CommandWriter(shared.commands, () => thread.wake())
    this.#replies = new RingConsumer(shared.replies)
    this.#replies.sleep()
  }

  // --- messages ---

  post(message: EswitchControl): void {
    this.thread.post(message)
    this.thread.wake()
  }

  /** Rejects when the worker refuses, or is lost. */
  request(request: Unnumbered<EswitchControl>): Promise<void> {
    return this.#requests.ask(request)
  }

  answered(event: EswitchEvent & { type: 'done' }): void {
    this.#requests.answered(event)
  }

  /** The worker is gone, or about to be: nothing is sent to it any more, and requests fail. */
  lose(why: string): void {
    this.#lost = true
    this.#requests.lose(new Error(`eswitch ${this.#name}: its worker is gone (${why})`))
  }

  // --- rings ---

  putRule(index: number, match: Match, inPort: number, program: Int32Array): void {
    const { words, at } = this.#command(RULE_PUT, index, flowRecordWords(match, program))
    writeFlowRecord(words, at, match, program, inPort)
  }

  setActions(index: number, program: Int32Array): void {
    const { words, at } = this.#command(RULE_ACTIONS, index, program.length)
    words.set(program, at)
  }

  delRule(index: number): void {
    this.#command(RULE_DEL, index, 0)
  }

  putEncap(row: EncapRow): void {
    const { words, at } = this.#command(ENCAP_PUT, row.id, encapRecordWords(row))
    writeEncapRecord(words, at, row)
  }

  delEncap(id: number): void {
    this.#command(ENCAP_DEL, id, 0)
  }

  /** Room for the `n` words after a command's operand, to be filled at once; it goes at the end of the current job. */
  #command(op: number, operand: number, n: number): { words: Int32Array; at: number } {
    if (!this.#scheduled) {
      this.#scheduled = true
      queueMicrotask(() => {
        this.#scheduled = false
        this.#flush()
      })
    }
    const room = this.#commands.reserve(2 + n)
    room.words[room.at] = op
    room.words[room.at + 1] = operand
    room.at += 2
    return room
  }

  /** Handles waiting replies and sends what waits. True if there was a reply. `gone` is called for each rule that was removed. */
  pump(gone: (index: number) => void): boolean {
    const words = this.#replies.words
    let any = false
    do {
      this.#replies.awake()
      for (let at = this.#replies.next(); at >= 0; at = this.#replies.next()) {
        any = true
        if (words[at] === RULE_GONE) gone(words[at + 1]!)
      }
      this.#replies.release()
    } while (!this.#replies.sleep())
    this.#flush()
    return any
  }

  #flush(): void {
    if (this.#lost || this.#commands.flush()) return
    setTimeout(() => this.#flush(), 1).unref()
  }
}
