/** Takes main's commands from their ring, in order and at batch boundaries. */
import { readEncapRecord } from '../flow/encap-record.ts'
import type { EncapRow } from '../flow/encap-table.ts'
import { createKey } from '../flow/key.ts'
import { readFlowRecord } from '../flow/program-record.ts'
import { SharedWords } from '../flow/shared-words.ts'
import type { ReplyRing } from '../lib/reply-ring.ts'
import { RingConsumer, type RingMemory } from '../lib/ring.ts'
import {
  CMD_BARRIER,
  CMD_ENCAP_DEL,
  CMD_ENCAP_PUT,
  CMD_EXECUTE,
  CMD_FLOW_DEL,
  CMD_FLOW_PUT,
  CMD_UPCALL_DONE,
  REPLY_BARRIER,
  REPLY_FLOW_GONE,
} from './records.ts'

/** Commands handled in one round, so that frames are not kept waiting by a flood of them. */
const ROUND = 256

/** Programs are shared: to be read only. */
export interface CommandHandler {
  flowPut(id: number, mask: Int32Array, key: Int32Array, program: Int32Array): void
  flowDel(id: number): void
  upcallDone(slot: number, program: Int32Array): void
  execute(slot: number, program: Int32Array): void
  encapPut(row: EncapRow): void
  encapDel(id: number): void
  readonly replies: ReplyRing
}

export class CommandReader {
  readonly ring: RingConsumer
  readonly #to: CommandHandler
  readonly #mask = createKey()
  readonly #key = createKey()
  /** Flows that do the same share one, and their first packets too. */
  readonly #programs = new SharedWords()

  constructor(memory: RingMemory, to: CommandHandler) {
    this.ring = new RingConsumer(memory)
    this.#to = to
  }

  /** True if a command was handled. */
  drain(): boolean {
    const to = this.#to
    const words = this.ring.words
    let n = 0
    while (n < ROUND && !to.replies.blocked) {
      const at = this.ring.next()
      if (at < 0) break
      n++
      const operand = words[at + 1]!
      switch (words[at]) {
        case CMD_FLOW_PUT: {
          const program = readFlowRecord(words, at + 2, this.#mask, this.#key, this.#programs)
          to.flowPut(operand, this.#mask, this.#key, program)
          break
        }
        case CMD_FLOW_DEL:
          to.flowDel(operand)
          to.replies.push(REPLY_FLOW_GONE, operand)
          break
        case CMD_UPCALL_DONE:
          to.upcallDone(operand, this.#program(at))
          break
        case CMD_EXECUTE:
          to.execute(operand, this.#program(at))
          break
        case CMD_ENCAP_PUT:
          to.encapPut(readEncapRecord(words, at + 2))
          break
        case CMD_ENCAP_DEL:
          to.encapDel(operand)
          break
        case CMD_BARRIER:
          to.replies.push(REPLY_BARRIER, operand)
      }
    }
    if (n > 0) this.ring.release()
    return n > 0
  }

  /** Of a command that has no more than that behind its operand. */
  #program(at: number): Int32Array {
    return this.#programs.share(this.ring.words, at + 2, this.ring.words[at - 1]! - 3)
  }
}
