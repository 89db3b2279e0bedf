/** Extraction for the workers: a slot's frame and its metadata, into one key. Hot path. */
import {
  type Arena,
  M_CT_LABEL,
  M_CT_MARK,
  M_CT_STATE,
  M_HASH,
  M_LEN,
  M_MARK,
  M_OFF,
  M_PORT,
  M_PRIORITY,
  M_RECIRC_ID,
  M_TUN_DST,
  M_TUN_ID,
  M_TUN_META,
  M_TUN_SRC,
  M_TUN_TP,
  META_WORDS,
} from '../packet/slot.ts'
import { extract } from './extract.ts'
import * as K from './key.ts'

/** Fills words 0 .. K_DP_WORDS - 1 of `key`. Slots carry no group policy, so K_TUN_GBP is zero. */
export const extractFrame = (arena: Arena, slot: number, key: Int32Array): void => {
  const meta = arena.meta
  const m = slot * META_WORDS
  key[K.K_RECIRC_ID] = meta[m + M_RECIRC_ID]!
  key[K.K_IN_PORT] = meta[m + M_PORT]!
  key[K.K_MARK] = meta[m + M_MARK]!
  key[K.K_PRIORITY] = meta[m + M_PRIORITY]!
  key[K.K_DP_HASH] = meta[m + M_HASH]!
  key[K.K_CT_STATE] = meta[m + M_CT_STATE]!
  key[K.K_CT_MARK] = meta[m + M_CT_MARK]!
  key[K.K_TUN_ID] = meta[m + M_TUN_ID]!
  key[K.K_TUN_ID + 1] = meta[m + M_TUN_ID + 1]!
  key[K.K_TUN_META] = meta[m + M_TUN_META]!
  key[K.K_TUN_TP] = meta[m + M_TUN_TP]!
  for (let i = 0; i < 4; i++) {
    key[K.K_CT_LABEL + i] = meta[m + M_CT_LABEL + i]!
    key[K.K_TUN_SRC + i] = meta[m + M_TUN_SRC + i]!
    key[K.K_TUN_DST + i] = meta[m + M_TUN_DST + i]!
  }
  key[K.K_TUN_GBP] = 0
  extract(arena.bytes, meta[m + M_OFF]!, meta[m + M_LEN]!, key)
}
