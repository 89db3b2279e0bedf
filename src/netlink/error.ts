/** Failures of netlink requests. */
import { getSystemErrorName } from 'node:util'
import type { SystemError } from '../lib/errors.ts'
import { rt } from './codec.ts'

/** 'RTM_NEWLINK', or the number. */
export const messageName = (type: number): string => {
  const name: string | undefined = rt.MessageType[type]
  return name === undefined ? `message ${type}` : `RTM_${name}`
}

/** The kernel refused, or did not answer. `message` has the kernel's own words (extended ack) where it gave any. */
export class NetlinkError extends Error implements SystemError {
  readonly code: string
  /** Positive; 0 when the failure is not the kernel's (ECLOSED, ETIMEDOUT is the real one). */
  readonly errno: number
  readonly syscall: string
  /** Extended ack. */
  readonly detail: string | undefined

  constructor(request: string, code: string, errno: number, detail?: string, options?: ErrorOptions) {
    super(`${request}: ${detail === undefined ? code : `${detail} (${code})`}`, options)
    this.name = 'NetlinkError'
    this.code = code
    this.errno = errno
    this.syscall = request
    this.detail = detail
  }
}

export const errnoName = (errno: number): string => {
  try {
    return getSystemErrorName(-errno)
  } catch {
    return `errno ${errno}`
  }
}
