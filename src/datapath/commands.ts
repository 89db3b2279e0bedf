/** Takes main's commands from their ring, in order and at batch boundaries. */
import { readEncapRecord } from '../flow/encap-record.ts'
import type { EncapRow } from '../flow/encap-table.ts'
import { createKey } from '../flow/key.ts'
import { readFlowRecord } from '../flow/program-record.ts'
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
          const program = readFlowRecord(words, at + 2, this.#mask, this.#key)
          to.flowPut(operand, this.#mask, this.#key, program)
          break
        }
        case CMD_FLOW_DEL:
          to.flowDel(operand)
          to.replies.push(REPLY_FLOW_GONE, operand)
          break
        case CMD_UPCALL_DONE:
          to.upcallDone(operand, words.slice(at + 2, at - 1 + words[at - 1]!))
          break
        case CMD_EXECUTE:
          to.execute(operand, words.slice(at + 2, at - 1 + words[at - 1]!))
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
}
