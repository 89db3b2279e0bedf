/**
 * The whole native API, typed: the one place that loads the addon (native/). Thin calls without policy.
 *
 * Every failure that is not an ordinary outcome throws an `Error` with `code` ('EBUSY'), `errno` (positive number) and
 * `syscall` ('ioctl(TUNSETIFF)'). Arguments of the wrong type or out of bounds throw a TypeError or RangeError; nothing aborts the process.
 * The addon keeps no per-thread state besides open watchers, and loads in the main thread and in workers.
 */
import { createRequire } from 'node:module'

export interface NativeError extends Error {
  code: string
  errno: number
  syscall: string
}

export interface TapOptions {
  /** Interface name, at most 15 bytes; '%d' patterns as the kernel takes them. */
  name: string
  /** Name of a namespace of `ip netns`, where the kernel side shall live; absent: the caller's. */
  netns?: string
  multiQueue?: boolean
  persist?: boolean
  /**
   * 'best': IFF_VNET_HDR and the largest set of offloads that TUNSETOFFLOAD accepts, tried from best to least. 'none': IFF_VNET_HDR
   * is not used at all, frames are complete both ways.
   */
  offloads?: 'best' | 'none'
}

export interface TapInfo {
  fd: number
  name: string
  ifindex: number
  /** 0 (no virtio-net header), 10, 12 or 24 bytes. */
  vnetHdr: number
  /** TUN_F_* bits accepted: CSUM 1, TSO4 2, TSO6 4, ECN 8, USO4 0x20, USO6 0x40, UDP_TUNNEL_GSO 0x80, UDP_TUNNEL_GSO_CSUM 0x100. */
  offloads: number
}

export interface PacketOptions {
  /** Existing interface to attach to with AF_PACKET. */
  name: string
  netns?: string
  vnetHdr?: boolean
}

export interface NetlinkOptions {
  netns?: string
  /** RTNLGRP_* numbers to join. */
  groups: number[]
  /** Receive buffer in bytes, forced where permitted. */
  rcvbuf?: number
}

/** Indices in the Int32Array(RX_RESULT_WORDS) that `rxBatch` fills. */
export const RX_SMALL_USED = 0
export const RX_BIG_USED = 1
/** Frames that fill a big slot to its end, or would go beyond, dropped. */
export const RX_OVERSIZE = 2
/** Frames that needed a big slot when there was none, dropped; one that fills a small slot to its end counts as such, since it may have been cut. */
export const RX_NO_SLOT = 3
/** Frames shorter than an Ethernet header (14 bytes), dropped. */
export const RX_RUNT = 4
/** errno that ended the batch, 0 for EAGAIN or a full batch. EBADFD/EIO/ENODEV/ENETDOWN tell of a link that is down or gone. */
export const RX_ERRNO = 5
/** Frames whose virtio-net header made no sense (offsets outside of the frame), dropped. */
export const RX_BAD_VNET = 6
export const RX_RESULT_WORDS = 8
/** More places in `out` than `max`: a super-frame of VXLAN packets that its sender packed comes as so many frames at most. */
export const RX_SPARE = 128

/** Indices in the Int32Array(TX_RESULT_WORDS) that `txBatch` fills. */
/** write() calls that succeeded. */
export const TX_WRITES = 0
/** Slots that could not be written whole: the device's queue was full (EAGAIN, ENOBUFS). */
export const TX_FULL = 1
/** Slots dropped because the frame could not be segmented or completed (headers malformed). */
export const TX_MALFORMED = 2
/** Slots dropped for another errno, and the last such errno. */
export const TX_ERROR = 3
export const TX_ERRNO = 4
export const TX_RESULT_WORDS = 8

/** How frames cross a descriptor; the `kind` of rxBatch and txBatch. */
export const KIND_TAP = 0
export const KIND_PACKET = 1

/** Opaque: arguments that were checked once (native/context.h). Each lives as long as it is referred to. */
export interface RxContext {
  readonly of: 'rx'
}
export interface TxContext {
  readonly of: 'tx'
}
export interface EpollContext {
  readonly of: 'epoll'
}

export interface Native {
  /** Layout constants compiled into the addon, by the names of packet/slot.ts and this file; compared by a test. */
  layout(): Record<string, number>

  openTap(options: TapOptions): TapInfo
  /** TUNSETCARRIER. */
  setCarrier(fd: number, on: boolean): void
  openPacket(options: PacketOptions): { fd: number; ifindex: number; vnetHdr: number }
  close(fd: number): void

  /**
   * What `rxBatch` needs each time, checked once: the descriptor, how frames cross it, the memory (Arena), the stacks of free slots, where slot indices go (room for as
   * many as will be asked for, and RX_SPARE), counts, and the UDP ports of tunnels (Arena.tunnels). The arrays must stay as they are.
   */
  rxOpen(
    fd: number,
    kind: number,
    vnetHdr: number,
    port: number,
    bytes: Uint8Array,
    meta: Int32Array,
    smallStack: Int32Array,
    bigStack: Int32Array,
    out: Int32Array,
    result: Int32Array,
    tunnels: Int32Array,
  ): RxContext
  /**
   * Reads without blocking until there are `max` frames in `out`, or all is read, or as much as a batch may have (native/batch_rx.cc). Each goes into the small slot on top of the pool's
   * stack, or, when it does not fit, whole into the big slot on top of its stack, which is scratch memory for all. Sets OFF (BASE + HEADROOM), LEN, PORT, the virtio-net words, and clears the pipeline words
   * M_FIRST_PIPE..META_WORDS of the slot; for KIND_PACKET a VLAN tag in the auxiliary data is put back into the frame, and frames that this
   * socket's host sent (PACKET_OUTGOING) are skipped. From a TAP with virtio-net headers, packets of one flow that follow each other come as one
   * super-frame (native/gro.h), VXLAN's too where they go to a tunnel's port, and packed ones are taken apart first. Writes the slot indices to `out`
   * and the counts to `result`. Returns the number of frames in `out`. The caller lowers its stack counts by result[RX_SMALL_USED] and
   * result[RX_BIG_USED]; entries of the stacks above those are undefined.
   */
  rxBatch(context: RxContext, smallFree: number, bigFree: number, max: number): number

  /** What `txBatch` needs each time: the device (`offloads`: TUN_F_* bits; `vnetHdr` 0: nothing is taken), the memory, the slots to be written, counts, the UDP ports of tunnels. */
  txOpen(
    fd: number,
    kind: number,
    vnetHdr: number,
    offloads: number,
    bytes: Uint8Array,
    meta: Int32Array,
    slots: Int32Array,
    result: Int32Array,
    tunnels: Int32Array,
  ): TxContext
  /**
   * Writes the frames of slots[from .. from + n). What the device does not take is done in software: segmentation (TCP, UDP USO) and checksums, straight from
   * the slot, which is left unchanged. Short packets of one flow to a tunnel's port that follow each other go in one write (native/join.h). Fills `result`; the slots stay the caller's.
   */
  txBatch(context: TxContext, from: number, n: number): void

  /** Internet checksum (RFC 1071) of bytes[off .. off + len) added to `initial` (folded, not complemented). */
  checksum(bytes: Uint8Array, off: number, len: number, initial: number): number
  /** Completes a partial checksum (NEEDS_CSUM) in place and clears the flag. False if the offsets lie outside of the frame. */
  completeChecksum(bytes: Uint8Array, meta: Int32Array, slot: number): boolean
  /**
   * Cuts the super-frame of `slot` into complete wire frames, written back to back to `out`, their lengths to `lens`. Returns the number of
   * frames, or -1 if it cannot be cut (malformed headers, no room).
   */
  segment(bytes: Uint8Array, meta: Int32Array, slot: number, out: Uint8Array, lens: Int32Array): number

  epollCreate(): number
  /** Adds `fd` for reading (level-triggered); `token` comes back from epollWait. */
  epollAdd(ep: number, fd: number, token: number): void
  epollDel(ep: number, fd: number): void
  /** What `epollWait` needs each time: where tokens and their EPOLL* bits go, and the time (one number). */
  epollOpen(ep: number, tokens: Int32Array, events: Int32Array, clock: Float64Array): EpollContext
  /** Waits at most `timeoutMs`; returns how many are ready (0 also when interrupted); clock[0]: milliseconds of CLOCK_MONOTONIC after that. Blocks the calling thread. */
  epollWait(context: EpollContext, timeoutMs: number): number

  eventfd(): number
  eventfdSignal(fd: number): void
  /** Blocks the calling thread until it is signalled, or for `timeoutMs`; takes nothing from it. */
  eventfdWait(fd: number, timeoutMs: number): void
  eventfdDrain(fd: number): void

  /** NETLINK_ROUTE socket, non-blocking, with extended acks and strict checking where the kernel has them. */
  netlinkOpen(options: NetlinkOptions): { fd: number; portid: number }
  /** Joins one more group (RTNLGRP_*). */
  netlinkJoin(fd: number, group: number): void
  netlinkSend(fd: number, message: Uint8Array): void
  /** Length of the datagram read into `buffer`, 0 when there is none (EAGAIN), -1 on overrun (ENOBUFS): resynchronise. Longer datagrams throw EMSGSIZE. */
  netlinkRecv(fd: number, buffer: Uint8Array): number

  /**
   * Calls `ready` on the calling thread's event loop whenever `fd` is readable; the callback reads until empty and the watch re-arms after
   * it returns. Keeps the process alive until unwatched. Returns a handle. One native thread per process does the polling.
   */
  watch(fd: number, ready: () => void): number
  unwatch(handle: number): void

  /** Asks for pages of 2 MiB behind the array, those that lie in it whole (madvise, MADV_HUGEPAGE). False where there is none, or no such thing. */
  hugePages(words: Int32Array): boolean

  /** Moves the calling thread (a worker, normally) into a namespace of `ip netns`, or back into the process's own when null. */
  setns(name: string | null): void
}

const require = createRequire(import.meta.url)

/** The addon. Loaded once per thread; throws a plain error that tells to run `npm run build:native` when the binary is missing. */
export const native: Native = (() => {
  const file = new URL('../../native/build/tapswitch.node', import.meta.url).pathname
  try {
    return require(file) as Native
  } catch (cause) {
    throw new Error(`the addon ${file} does not load (run: npm run build:native): ${(cause as Error).message}`, {
      cause,
    })
  }
})()
