/**
 * The control socket: OVS's unixctl protocol. JSON-RPC 1.0 requests `{"method": VERB, "params": [STRING, ...], "id": ID}` on a Unix stream
 * socket, answered by `{"result": TEXT, "error": null, "id": ID}` or `{"result": null, "error": TEXT, "id": ID}`; so `ovs-appctl -t SOCKET VERB` works.
 *
 * As in OVS 3.4 and later, `set-options --format json` switches a connection to answers as data. The socket file is owner-only. Main thread.
 */
import { chmodSync, lstatSync, mkdirSync, rmSync, type Stats } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { JsonStream } from './json-stream.ts'
import { VerbError, type VerbRegistry, type VerbReply } from './registry.ts'

const MAX_REQUEST = 4 << 20
const MAX_CLIENTS = 64
/** Requests of one connection that may wait for their answers. */
const MAX_PENDING = 64
/** Verbs that run at the end have so long for their answer. */
const CLOSE_MS = 1000

interface Connection {
  format: 'text' | 'json'
  pending: number
  /** Answers leave in the order of the requests. */
  tail: Promise<void>
}

interface Request {
  readonly id: unknown
  readonly method: string
  readonly params: string[]
}

const parseRequest = (value: unknown): Request | string => {
  if (typeof value !== 'object' || value === null) return 'a JSON-RPC request object expected'
  const { id, method, params } = value as Record<string, unknown>
  if (typeof method !== 'string') return '"method" must be a string'
  if (!Array.isArray(params) || params.some((p) => typeof p !== 'string')) return '"params" must be an array of strings'
  return { id: id ?? null, method, params: params as string[] }
}

/** As OVS answers: what is not empty ends its line, for clients print it as it is. */
const line = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`)

const setOptions = (connection: Connection, params: readonly string[]): VerbReply => {
  const at = params.indexOf('--format')
  const format = at >= 0 ? params[at + 1] : undefined
  if (format !== 'text' && format !== 'json')
    throw new VerbError('set-options: "--format text" or "--format json" expected')
  connection.format = format
  return { text: '' }
}

export class UnixctlServer {
  readonly path: string
  readonly #registry: VerbRegistry
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #connections = new Set<Connection>()
  readonly #onFailure: (verb: string, error: unknown) => void

  private constructor(path: string, registry: VerbRegistry, onFailure: (verb: string, error: unknown) => void) {
    this.path = path
    this.#registry = registry
    this.#onFailure = onFailure
    this.#server = createServer((socket) => this.#accept(socket))
    this.#server.maxConnections = MAX_CLIENTS
  }

  /**
   * Listens on `path`. A stale socket file is replaced; a live one means that another switch runs there: an Error says so. `onFailure` hears of
   * verbs that failed by a fault of ours (anything but VerbError).
   */
  static async listen(
    path: string,
    registry: VerbRegistry,
    onFailure: (verb: string, error: unknown) => void,
  ): Promise<UnixctlServer> {
    await UnixctlServer.mustBeFree(path)
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
      rmSync(path, { force: true })
    } catch (error) {
      throw new Error(`control socket ${path}: ${(error as Error).message}`, { cause: error })
    }
    const unixctl = new UnixctlServer(path, registry, onFailure)
    const before = process.umask(0o177)
    try {
      await new Promise<void>((resolve, reject) => {
        unixctl.#server.once('error', (error) => reject(new Error(`control socket ${path}: ${error.message}`)))
        unixctl.#server.listen(path, resolve)
      })
    } finally {
      process.umask(before)
    }
    chmodSync(path, 0o600)
    return unixctl
  }

  /** Rejects with an Error when another process listens on `path`, or what is there is no socket. */
  static async mustBeFree(path: string): Promise<void> {
    let there: Stats | undefined
    try {
      there = lstatSync(path, { throwIfNoEntry: false })
    } catch (error) {
      throw new Error(`control socket ${path}: ${(error as Error).message}`, { cause: error })
    }
    if (there === undefined) return
    if (!there.isSocket()) throw new Error(`control socket ${path}: something that is no socket is there`)
    if (await answers(path)) throw new Error(`control socket ${path}: another process listens there`)
  }

  /** Verbs that run get their answers out first. */
  async close(): Promise<void> {
    const answered = Promise.all([...this.#connections].map((connection) => connection.tail))
    const late = new AbortController()
    await Promise.race([answered, delay(CLOSE_MS, undefined, { signal: late.signal }).catch(() => {})])
    late.abort()
    for (const socket of this.#sockets) socket.end()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      for (const socket of this.#sockets) socket.destroySoon()
    })
  }

  #accept(socket: Socket): void {
    const stream = new JsonStream(MAX_REQUEST)
    const connection: Connection = { format: 'text', pending: 0, tail: Promise.resolve() }
    this.#sockets.add(socket)
    this.#connections.add(connection)
    socket.setEncoding('utf8')
    socket.on('close', () => {
      this.#sockets.delete(socket)
      this.#connections.delete(connection)
    })
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: string) => {
      try {
        for (const value of stream.push(chunk)) this.#enqueue(socket, connection, value)
      } catch (error) {
        socket.end(`${JSON.stringify({ id: null, result: null, error: (error as Error).message })}\n`)
      }
    })
  }

  #enqueue(socket: Socket, connection: Connection, value: unknown): void {
    if (connection.pending >= MAX_PENDING) {
      socket.destroy()
      return
    }
    connection.pending++
    connection.tail = connection.tail.then(async () => {
      const answer = await this.#answer(connection, value)
      connection.pending--
      if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`)
    })
  }

  async #answer(connection: Connection, value: unknown): Promise<Record<string, unknown>> {
    const request = parseRequest(value)
    if (typeof request === 'string') return { id: null, result: null, error: request }
    const { id, method, params } = request
    try {
      const reply =
        method === 'set-options' ? setOptions(connection, params) : await this.#registry.call(method, params)
      const result =
        connection.format === 'json' ? (reply.json ?? { 'reply-format': 'plain', reply: reply.text }) : line(reply.text)
      return { id, result, error: null }
    } catch (error) {
      if (!(error instanceof VerbError)) this.#onFailure(method, error)
      return { id, result: null, error: line(error instanceof Error ? error.message : String(error)) }
    }
  }
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
