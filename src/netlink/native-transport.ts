/** Netlink sockets of the kernel, by the addon. */
import { native } from '../native/binding.ts'
import type { NetlinkTransport } from './transport.ts'

export const nativeTransport: NetlinkTransport = {
  open: (options) => native.netlinkOpen(options),
  join: (fd, group) => native.netlinkJoin(fd, group),
  send: (fd, message) => native.netlinkSend(fd, message),
  recv: (fd, buffer) => native.netlinkRecv(fd, buffer),
  watch: (fd, ready) => native.watch(fd, ready),
  unwatch: (handle) => native.unwatch(handle),
  close: (fd) => native.close(fd),
}
