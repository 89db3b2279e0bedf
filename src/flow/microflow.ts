/**
 * Identity of a microflow for the sake of order: ingress port, tunnel (VNI, the peer's address, the end of ours), Ethernet addresses, VLAN, network addresses, protocol and
 * ports. Ports do not count for fragments, which do not all carry them; nor do the outer ports. Two microflows with one value merely wait for each other; so that nobody can make
 * another's wait for his, each thread has values of its own.
 */
import {
  K_DL_TYPE,
  K_ETH,
  K_IN_PORT,
  K_NW,
  K_NW_DST,
  K_NW_SRC,
  K_TP,
  K_TUN_DST,
  K_TUN_ID,
  K_TUN_SRC,
  K_VLAN0,
} from './key.ts'

const WORDS = Int32Array.of(
  K_IN_PORT,
  K_ETH,
  K_ETH + 1,
  K_ETH + 2,
  K_DL_TYPE,
  K_VLAN0,
  K_NW_SRC,
  K_NW_SRC + 1,
  K_NW_SRC + 2,
  K_NW_SRC + 3,
  K_NW_DST,
  K_NW_DST + 1,
  K_NW_DST + 2,
  K_NW_DST + 3,
  K_TUN_ID + 1,
  K_TUN_SRC,
  K_TUN_SRC + 1,
  K_TUN_SRC + 2,
  K_TUN_SRC + 3,
  K_TUN_DST + 3,
)

const SEED = crypto.getRandomValues(new Int32Array(1))[0]!

export const microflow = (key: Int32Array): number => {
  let h = SEED ^ (key[K_NW]! >>> 24)
  if ((key[K_NW]! & 0xff) === 0) h ^= key[K_TP]!
  for (let i = 0; i < WORDS.length; i++) {
    h = Math.imul(h ^ key[WORDS[i]!]!, 0x9e3779b1)
    h ^= h >>> 15
  }
  return h
}
