/** What a netlink socket is made of, so that tests can be the kernel. The addon is the other provider (native-transport.ts). */
export interface NetlinkTransport {
  /** Opens a NETLINK_ROUTE socket in a namespace of `ip netns`, or the process's own. */
  open(options: { netns?: string; groups: number[]; rcvbuf?: number }): { fd: number; portid: number }
  /** Joins one more group. Throws an error with a `code`. */
  join(fd: number, group: number): void
  send(fd: number, message: Uint8Array): void
  /** Length read, 0: nothing there, -1: overrun. Throws an error with a `code`; EMSGSIZE for a datagram that does not fit. */
  recv(fd: number, buffer: Uint8Array): number
  /** Calls back on the main thread while there is something to receive, until unwatched. */
  watch(fd: number, ready: () => void): number
  unwatch(handle: number): void
  close(fd: number): void
}

/** Delays, as an argument. */
export interface Timers {
  /** Calls once after `ms`, unless the returned function is called before. */
  after(ms: number, call: () => void): () => void
}

export const systemTimers: Timers = {
  after(ms, call) {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
}
