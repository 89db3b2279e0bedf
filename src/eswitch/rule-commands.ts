/** Takes main's commands about rules and encap entries from their ring, in order and at batch boundaries. */
import { readEncapRecord } from '../flow/encap-record.ts'
import type { EncapTable } from '../flow/encap-table.ts'
import { createKey } from '../flow/key.ts'
import { readFlowRecord } from '../flow/program-record.ts'
import type { ReplyRing } from '../lib/reply-ring.ts'
import { RingConsumer, type RingMemory } from '../lib/ring.ts'
import { ENCAP_DEL, ENCAP_PUT, RULE_ACTIONS, RULE_DEL, RULE_GONE, RULE_PUT } from './control.ts'
import type { RuleTable } from './rule-table.ts'

/** Commands handled in one round. */
const ROUND = 256

export class RuleCommands {
  readonly ring: RingConsumer
  readonly #rules: RuleTable
  readonly #encaps: EncapTable
  readonly #replies: ReplyRing
  readonly #removed: () => void
  readonly #mask = createKey()
  readonly #key = createKey()

  /** `removed` is called after a rule was removed, before main is told. */
  constructor(memory: RingMemory, rules: RuleTable, encaps: EncapTable, replies: ReplyRing, removed: () => void) {
    this.ring = new RingConsumer(memory)
    this.#rules = rules
    this.#encaps = encaps
    this.#replies = replies
    this.#removed = removed
  }

  /** True if a command was handled. */
  drain(): boolean {
    const words = this.ring.words
    let n = 0
    while (n < ROUND && !this.#replies.blocked) {
      const at = this.ring.next()
      if (at < 0) break
      n++
      const operand = words[at + 1]!
      switch (words[at]) {
        case RULE_PUT: {
          const program = readFlowRecord(words, at + 2, this.#mask, this.#key, this.#rules.sharedPrograms)
          this.#rules.put(operand, this.#mask, this.#key, program)
          break
        }
        case RULE_ACTIONS:
          this.#rules.setActions(operand, this.#rules.sharedPrograms.share(words, at + 2, words[at - 1]! - 3))
          break
        case RULE_DEL:
          this.#rules.remove(operand)
          this.#removed()
          this.#replies.push(RULE_GONE, operand)
          break
        case ENCAP_PUT:
          this.#encaps.put(readEncapRecord(words, at + 2))
          break
        case ENCAP_DEL:
          this.#encaps.del(operand)
      }
    }
    if (n > 0) this.ring.release()
    return n > 0
  }
}
