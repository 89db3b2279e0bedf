/** Opcodes of the rings between main and the datapath worker. A record is `[length, opcode, words...]`. */

/** id, then the flow (flow/program-record.ts). */
export const CMD_FLOW_PUT = 1
/** id */
export const CMD_FLOW_DEL = 2
/** slot, program */
export const CMD_UPCALL_DONE = 3
/** slot of main, program */
export const CMD_EXECUTE = 4
/** sequence number */
export const CMD_BARRIER = 5
/** id, then the entry (flow/encap-record.ts). */
export const CMD_ENCAP_PUT = 6
/** id */
export const CMD_ENCAP_DEL = 7

/** slot of the datapath, lent to main */
export const REPLY_UPCALL = 1
/** slot of main */
export const REPLY_RETURN = 2
/** id */
export const REPLY_FLOW_GONE = 3
/** sequence number */
export const REPLY_BARRIER = 4
/** slot of the datapath, lent to main; the entry is in its U_STATE (waiting.ts) */
export const REPLY_TOO_BIG = 5
