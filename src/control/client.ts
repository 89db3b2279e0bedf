/** A client of the control socket: what the CLI and the tests use. */
import { connect } from 'node:net'
import { JsonStream } from './json-stream.ts'

/** The daemon's own refusal, or a fault of the connection; the message is fit for the user. */
export class ControlError extends Error {}

interface Answer {
  readonly id: unknown
  readonly result: unknown
  readonly error: unknown
}

/**
 * Calls one verb and returns its answer: text, or, with `json`, the verb's data. Rejects with ControlError when nobody listens, the verb fails, or
 * the connection breaks.
 */
export const callVerb = (path: string, verb: string, args: readonly string[], json = false): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const stream = new JsonStream(1 << 30)
    const socket = connect(path)
    const last = json ? 1 : 0
    const fail = (message: string): void => {
      socket.destroy()
      reject(new ControlError(message))
    }
    socket.setEncoding('utf8')
    socket.on('error', (error: NodeJS.ErrnoException) =>
      fail(
        error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
          ? `no switch listens on ${path} (is it running? tapswitch run --config FILE)`
          : `${path}: ${error.message}`,
      ),
    )
    socket.on('close', () => reject(new ControlError(`${path}: connection closed before the answer`)))
    socket.on('connect', () => {
      if (json) socket.write(JSON.stringify({ id: 0, method: 'set-options', params: ['--format', 'json'] }))
      socket.write(JSON.stringify({ id: last, method: verb, params: args }))
    })
    socket.on('data', (chunk: string) => {
      for (const value of stream.push(chunk)) {
        const answer = value as Answer
        if (answer.error !== null) return fail(String(answer.error).trimEnd())
        if (answer.id !== last) continue
        socket.end()
        resolve(answer.result)
      }
    })
  })
