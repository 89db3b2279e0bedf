/** Bits of the lower half of K_TUN_META and M_TUN_META: facts of the outer header that matches may ask for. */
export const TUN_F_OAM = 1
export const TUN_F_DF = 2
export const TUN_F_CSUM = 4
export const TUN_F_KEY = 8
