/**
 * One network namespace in use: one socket, the mirrors of its tables, and operations on its links and addresses. Main thread. Further mirrors (routes,
 * rules, neighbours) attach to the same socket.
 *
 * A netlink socket keeps its namespace alive after `ip netns del`; so the directory of names is watched, and the socket of a name that is gone is closed: who
 * follows links there hears that they went.
 */
import { type FSWatcher, statSync, watch } from 'node:fs'
import { addAddress, deleteAddress } from './address.ts'
import type { NetlinkMessage } from './codec.ts'
import { getLink, isLinkMessage, type Link, type LinkChange, RTNLGRP_LINK, setLink } from './link.ts'
import { LinkMonitor } from './link-monitor.ts'
import { NetlinkSocket } from './socket.ts'
import type { NetlinkTransport, Timers } from './transport.ts'

/** Where `ip netns` keeps its names (ip-netns(8)). */
const NETNS_DIR = '/run/netns'

export interface NamespaceOptions {
  readonly transport: NetlinkTransport
  readonly timers?: Timers
  /** Name of `ip netns`; absent: the process's own. */
  readonly netns?: string
  readonly rcvbuf?: number
  /** RTNLGRP_* that mirrors to be attached need, besides that of links. */
  readonly groups?: readonly number[]
  /** Failures of what nobody awaits: a dump after an overrun, a callback that throws. */
  readonly onError: (error: Error) => void
  /** The name was deleted, or given to another namespace, or the socket failed. The object is closed then and its links are reported as removed. Called once. */
  readonly onGone?: () => void
}

/** Keeps another table by the news of the namespace's socket. None of its calls may throw. */
export interface NamespaceMirror {
  /** Any message of a joined group, those of links too, after the links have been brought up to date. Its data is valid only during the call. */
  message(message: NetlinkMessage): void
  /** News were lost. */
  overrun(): void
  /** The namespace is gone. */
  clear(): void
}

export class Namespace {
  readonly name: string | undefined
  readonly socket: NetlinkSocket
  readonly links: LinkMonitor
  readonly #onGone: () => void
  #watcher: FSWatcher | undefined
  readonly #mirrors = new Set<NamespaceMirror>()
  #gone = false

  private constructor(options: NamespaceOptions) {
    this.name = options.netns
    this.#onGone = options.onGone ?? (() => {})
    this.socket = new NetlinkSocket({ rcvbuf: 4 << 20, ...options, groups: [RTNLGRP_LINK, ...(options.groups ?? [])] })
    this.links = new LinkMonitor(this.socket, options.onError, options.timers)
    this.socket.listen({
      message: (message) => {
        if (isLinkMessage(message)) this.links.message(message)
        for (const mirror of this.#mirrors) mirror.message(message)
      },
      overrun: () => {
        void this.links.overrun()
        for (const mirror of this.#mirrors) mirror.overrun()
      },
      failed: (error) => {
        options.onError(error)
        this.#leave()
      },
    })
    if (options.netns !== undefined) this.#watchName(options.netns, options.onError)
  }

  /** Resolves with all mirrors complete. Rejects when there is no such namespace. */
  static async open(options: NamespaceOptions): Promise<Namespace> {
    const namespace = new Namespace(options)
    try {
      await namespace.links.start()
    } catch (error) {
      namespace.close()
      throw error
    }
    return namespace
  }

  /** For mirrors that are to be attached: news of these groups come from now on. Throws an error with a `code`. */
  join(groups: readonly number[]): void {
    this.socket.join(groups)
  }

  /** Whoever attaches dumps its table first thing afterwards. Returns how to end it. */
  attach(mirror: NamespaceMirror): () => void {
    this.#mirrors.add(mirror)
    return () => this.#mirrors.delete(mirror)
  }

  /** By name or ifindex, asked of the kernel. Rejects with NetlinkError ENODEV. */
  getLink(which: string | number): Promise<Link> {
    return getLink(this.socket, which)
  }

  /** Resolves when all news that came before the call have been told: the answer to a question comes behind them. */
  async caughtUp(): Promise<void> {
    if (!this.#gone) await this.getLink('lo')
  }

  setLink(ifindex: number, change: LinkChange): Promise<void> {
    return setLink(this.socket, ifindex, change)
  }

  /** `cidr`: '192.168.0.1/24'. */
  addAddress(ifindex: number, cidr: string): Promise<void> {
    return addAddress(this.socket, ifindex, cidr)
  }

  deleteAddress(ifindex: number, cidr: string): Promise<void> {
    return deleteAddress(this.socket, ifindex, cidr)
  }

  close(): void {
    this.#gone = true
    this.#watcher?.close()
    this.socket.close()
  }

  #watchName(name: string, onError: (error: Error) => void): void {
    const inode = (): number | undefined => statSync(`${NETNS_DIR}/${name}`, { throwIfNoEntry: false })?.ino
    const mine = inode()
    if (mine === undefined) return
    this.#watcher = watch(NETNS_DIR, { persistent: false }, (_event, changed) => {
      if (changed === name && inode() !== mine) this.#leave()
    })
    this.#watcher.on('error', onError)
  }

  #leave(): void {
    if (this.#gone) return
    this.close()
    this.links.clear()
    for (const mirror of this.#mirrors) mirror.clear()
    this.#onGone()
  }
}
