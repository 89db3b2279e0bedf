/**
 * Errors that a person reads: each says what was wrong and, where it can, what was expected. Code tells errors apart by `code`, never by class or text.
 * System errors of Node and of the addon have the shape of SystemError.
 */

/** An error with a stable code. The message is complete without it. */
export class CodedError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CodedError'
    this.code = code
  }
}

/** What a failed system call gives: `code` is the symbol ('ENOENT'), `errno` the number. */
export interface SystemError extends Error {
  readonly code: string
  readonly errno: number
  readonly syscall: string
}

export const isSystemError = (error: unknown): error is SystemError =>
  error instanceof Error &&
  typeof (error as Partial<SystemError>).code === 'string' &&
  typeof (error as Partial<SystemError>).errno === 'number' &&
  typeof (error as Partial<SystemError>).syscall === 'string'

/** The code of a coded or system error; undefined for anything else. */
export const errorCode = (error: unknown): string | undefined => {
  const code = error instanceof Error ? (error as Partial<SystemError>).code : undefined
  return typeof code === 'string' ? code : undefined
}

/** Links of a chain of causes that are shown. */
const MAX_CAUSES = 8

/** One line for a log or a client: the message and its causes. Takes whatever was thrown. */
export const errorText = (error: unknown): string => {
  const parts: string[] = []
  let at: unknown = error
  for (let i = 0; i < MAX_CAUSES && at !== undefined; i++) {
    const text = at instanceof Error ? at.message || at.name : String(at)
    if (parts.at(-1) !== text) parts.push(text)
    at = at instanceof Error ? at.cause : undefined
  }
  return parts.join(': ').replace(/\s*\n\s*/g, ' ')
}

/** Phrase for a value that is out of bounds: 'priority 70000 is out of range: expected 0..65535'. */
export const outOfRange = (what: string, value: number | bigint, min: number, max: number): string =>
  `${what} ${value} is out of range: expected ${min}..${max}`
