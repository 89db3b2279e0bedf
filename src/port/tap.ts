/**
 * Ports on kernel descriptors: TAPs, and AF_PACKET sockets (afpacket.ts). The main thread opened the descriptor and owns it; this object borrows
 * it for the thread that polls. All I/O is one native call a batch.
 */
import {
  KIND_TAP,
  native,
  RX_BAD_VNET,
  RX_BIG_USED,
  RX_ERRNO,
  RX_NO_SLOT,
  RX_OVERSIZE,
  RX_RESULT_WORDS,
  RX_RUNT,
  RX_SMALL_USED,
  type RxContext,
  TX_ERRNO,
  TX_ERROR,
  TX_FULL,
  TX_MALFORMED,
  TX_RESULT_WORDS,
  type TxContext,
} from '../native/binding.ts'
import type { Arena, SlotPool } from '../packet/slot.ts'
import { type Port, PS_RX_FRAMES, PS_RX_PACKETS, PS_TX_FRAMES, PS_TX_PACKETS } from './contract.ts'
import { dropIndex } from './drop.ts'
import { countDrop, countFrame } from './stats.ts'

const DROP_OVERSIZE = dropIndex('rx-oversize')
const DROP_NO_SLOT = dropIndex('rx-no-slot')
const DROP_RUNT = dropIndex('rx-runt')
const DROP_BAD_VNET = dropIndex('rx-bad-vnet')
const DROP_TX_FULL = dropIndex('tx-full')
const DROP_TX_MALFORMED = dropIndex('tx-malformed')
const DROP_TX_ERROR = dropIndex('tx-error')

/** What a worker needs to know of a descriptor that main has opened. Plain data. */
export interface PortFd {
  readonly fd: number
  /** Bytes of the virtio-net header, 0 for none. */
  readonly vnetHdr: number
  /** TUN_F_* bits that the device takes (TapInfo). */
  readonly offloads: number
}

const EBADFD = 77
const ENODEV = 19
const EBADF = 9
const ENXIO = 6

/** True for an errno that says the device behind the descriptor is gone for good. */
const isFatal = (errno: number): boolean => errno === EBADFD || errno === ENODEV || errno === EBADF || errno === ENXIO

export class FdPort implements Port {
  readonly name: string
  readonly fd: number
  dead = false
  /** errno of the last receive that failed, 0 when the last one was fine: the interface is down (EIO, ENETDOWN). */
  rxErrno = 0
  readonly #no: number
  readonly #kind: number
  readonly #vnetHdr: number
  readonly #offloads: number
  readonly #arena: Arena
  readonly #stats: Float64Array
  readonly #rxResult = new Int32Array(RX_RESULT_WORDS)
  readonly #txResult = new Int32Array(TX_RESULT_WORDS)
  /** For the arrays that the port was called with last, which are the same all its life but in tests. */
  #rxContext: RxContext | undefined
  #txContext: TxContext | undefined
  #rxOut: Int32Array | undefined
  #rxPool: SlotPool | undefined
  #txSlots: Int32Array | undefined

  constructor(name: string, no: number, kind: number, open: PortFd, arena: Arena, stats: Float64Array) {
    this.name = name
    this.fd = open.fd
    this.#no = no
    this.#kind = kind
    this.#vnetHdr = open.vnetHdr
    this.#offloads = open.offloads
    this.#arena = arena
    this.#stats = stats
  }

  rx(pool: SlotPool, no: number, out: Int32Array, max: number): number {
    const { bytes, meta } = this.#arena
    const r = this.#rxResult
    if (this.#rxOut !== out || this.#rxPool !== pool) this.#openRx(pool, no, out)
    const n = native.rxBatch(this.#rxContext!, pool.smallFree, pool.bigFree, max)
    pool.smallFree -= r[RX_SMALL_USED]!
    pool.bigFree -= r[RX_BIG_USED]!
    for (let i = 0; i < n; i++) countFrame(this.#stats, no, PS_RX_PACKETS, PS_RX_FRAMES, bytes, meta, out[i]!)
    if (r[RX_OVERSIZE] !== 0) countDrop(this.#stats, no, DROP_OVERSIZE, r[RX_OVERSIZE])
    if (r[RX_NO_SLOT] !== 0) countDrop(this.#stats, no, DROP_NO_SLOT, r[RX_NO_SLOT])
    if (r[RX_RUNT] !== 0) countDrop(this.#stats, no, DROP_RUNT, r[RX_RUNT])
    if (r[RX_BAD_VNET] !== 0) countDrop(this.#stats, no, DROP_BAD_VNET, r[RX_BAD_VNET])
    this.rxErrno = r[RX_ERRNO]!
    if (this.rxErrno !== 0 && isFatal(this.rxErrno)) this.dead = true
    return n
  }

  tx(slots: Int32Array, from: number, n: number): void {
    const { bytes, meta } = this.#arena
    const r = this.#txResult
    if (this.#txSlots !== slots) this.#openTx(slots)
    native.txBatch(this.#txContext!, from, n)
    const lost = r[TX_FULL]! + r[TX_MALFORMED]! + r[TX_ERROR]!
    // How many failed is told, not which ones: the bytes of a partly failed batch are those of as many of its first frames.
    for (let i = from; i < from + n - lost; i++)
      countFrame(this.#stats, this.#no, PS_TX_PACKETS, PS_TX_FRAMES, bytes, meta, slots[i]!)
    if (lost === 0) return
    countDrop(this.#stats, this.#no, DROP_TX_FULL, r[TX_FULL])
    countDrop(this.#stats, this.#no, DROP_TX_MALFORMED, r[TX_MALFORMED])
    countDrop(this.#stats, this.#no, DROP_TX_ERROR, r[TX_ERROR])
    if (r[TX_ERROR] !== 0 && isFatal(r[TX_ERRNO]!)) this.dead = true
  }

  #openRx(pool: SlotPool, no: number, out: Int32Array): void {
    const { bytes, meta, tunnels } = this.#arena
    this.#rxContext = native.rxOpen(
      ...([this.fd, this.#kind, this.#vnetHdr, no, bytes, meta] as const),
      ...([pool.smallStack, pool.bigStack, out, this.#rxResult, tunnels] as const),
    )
    this.#rxOut = out
    this.#rxPool = pool
  }

  #openTx(slots: Int32Array): void {
    const { bytes, meta, tunnels } = this.#arena
    this.#txContext = native.txOpen(
      ...([this.fd, this.#kind, this.#vnetHdr, this.#offloads] as const),
      ...([bytes, meta, slots, this.#txResult, tunnels] as const),
    )
    this.#txSlots = slots
  }
}

/** The switch's end of a TAP interface. */
export class TapPort extends FdPort {
  constructor(name: string, no: number, open: PortFd, arena: Arena, stats: Float64Array) {
    super(name, no, KIND_TAP, open, arena, stats)
  }
}
