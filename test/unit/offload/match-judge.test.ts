import fc from 'fast-check'
import { expect, test } from 'vitest'
import { builtInProfiles, loadProfile } from '../../../src/eswitch/profile-file.ts'
import { createKey, K_DL_TYPE, K_DP_WORDS, K_IN_PORT, K_NW, K_RECIRC_ID, K_TP } from '../../../src/flow/key.ts'
import { FIELDS } from '../../../src/flow/registry.ts'
import { MatchJudge } from '../../../src/offload/checks/match.ts'

const profiles = builtInProfiles().map((name) => loadProfile(name))
const type = fc.constantFrom(0x0800, 0x86dd, 0x0806, 0x8847, 0x894f)
const proto = fc.constantFrom(1, 6, 17, 58, 132)

/** Masks of whole fields and of some bits of a word, several flows each. */
const mask = fc
  .tuple(
    fc.subarray(
      FIELDS.filter((field) => field.bit < K_DP_WORDS * 32),
      { maxLength: 5 },
    ),
    fc.nat(K_DP_WORDS - 1),
    fc.integer(),
    fc.boolean(),
  )
  .map(([fields, word, bits, typed]) => {
    const made = createKey()
    for (const { bit, bits } of fields)
      for (let at = bit; at < bit + bits; at++) made[at >> 5] = made[at >> 5]! | (1 << (31 - (at & 31)))
    made[word] = made[word]! | bits
    if (typed) made[K_DL_TYPE] = made[K_DL_TYPE]! | (0xffff0000 | 0)
    made[K_IN_PORT] = -1
    made[K_RECIRC_ID] = -1
    return made
  })
const key = fc.tuple(type, proto, fc.int32Array({ minLength: K_DP_WORDS, maxLength: K_DP_WORDS }), fc.nat(3))
const packets = fc.array(key, { minLength: 1, maxLength: 6 })

test('what is remembered of one match is true of all for which it is answered', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(mask, packets), { minLength: 1, maxLength: 4 }), (flows) => {
      const judge = new MatchJudge()
      for (let again = 0; again < 2; again++)
        for (const [mask, keys] of flows)
          for (const [type, proto, words, ports] of keys) {
            const whole = createKey()
            whole.set(words)
            whole[K_DL_TYPE] = (type << 16) | (words[K_DL_TYPE]! & 0xffff)
            whole[K_NW] = (proto << 24) | (words[K_NW]! & 0xffffff)
            whole[K_RECIRC_ID] = words[K_RECIRC_ID]! & 1
            // Also neighbour discovery's types.
            if (ports < 2) whole[K_TP] = (135 + ports) << 16
            const match = { key: whole.map((word, i) => word & mask[i]!), mask }
            for (const profile of profiles)
              expect(judge.refusal(match, profile)).toEqual(new MatchJudge().refusal(match, profile))
          }
    }),
  )
})
