/**
 * The rtnetlink message codec: the npm package `netlink`, of which only the parts that describe messages are loaded. Its own sockets abort
 * the process on an overrun, so neither they nor its addon are ever touched; that is why the imports name files inside the package.
 *
 * Kernel structures in host byte order. The package throws on what it does not expect, such as an attribute that a newer kernel has lengthened;
 * so callers hand it only the attributes that they read (`keepAttributes`).
 */
import rt from 'netlink/dist/rt/structs.js'
import structs from 'netlink/dist/structs.js'

export { rt }

export const NLMSG_HDRLEN = structs.HEADER_LENGTH

export const NLM_F_REQUEST = 1
export const NLM_F_MULTI = 2
export const NLM_F_ACK = 4
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_CAPPED = 0x100
export const NLM_F_ACK_TLVS = 0x200
export const NLM_F_REPLACE = 0x100
export const NLM_F_DUMP = 0x300
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400

export const NLMSG_NOOP = 1
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3

export interface NetlinkMessage {
  /** RTM_* or NLMSG_*. */
  readonly type: number
  /** NLM_F_*. */
  readonly flags: number
  readonly seq: number
  /** Port id of who asked; 0 for the kernel's own news. */
  readonly port: number
  /** Payload; valid only during the call that handed it out. */
  readonly data: Buffer
}

export interface Attribute {
  readonly type: number
  readonly data: Buffer
}

const align = (n: number): number => (n + 3) & ~3

/** Messages of one datagram. Ends early, with `malformed` called, where a length makes no sense. */
export function* splitMessages(datagram: Buffer, malformed: () => void): Generator<NetlinkMessage> {
  let at = 0
  while (at < datagram.length) {
    const length = datagram.length - at < NLMSG_HDRLEN ? 0 : datagram.readUInt32LE(at)
    if (length < NLMSG_HDRLEN || at + length > datagram.length) {
      malformed()
      return
    }
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      seq: datagram.readUInt32LE(at + 8),
      port: datagram.readUInt32LE(at + 12),
      data: datagram.subarray(at + NLMSG_HDRLEN, at + length),
    }
    at += align(length)
  }
}

/** A request ready to send. */
export const buildMessage = (
  header: { readonly type: number; readonly flags: number; readonly seq: number },
  payload: Uint8Array,
): Buffer => Buffer.concat(structs.formatMessage({ ...header, port: 0, data: [payload] }))

/** Collects what the package's format functions emit. */
export const payloadOf = (emit: (out: InstanceType<typeof structs.AttrStream>) => void): Buffer => {
  const stream = new structs.AttrStream()
  emit(stream)
  return Buffer.concat(stream.bufs)
}

/** Attributes from `data`; stops where a length makes no sense and says so by `malformed`. */
export function* attributes(data: Buffer, malformed?: () => void): Generator<Attribute> {
  let at = 0
  while (at + 4 <= data.length) {
    const length = data.readUInt16LE(at)
    if (length < 4 || at + length > data.length) {
      malformed?.()
      return
    }
    yield { type: data.readUInt16LE(at + 2) & 0x3fff, data: data.subarray(at + 4, at + length) }
    at += align(length)
  }
}

/** The message's fixed part and those attributes whose type is in `wanted`: what the package is given to parse. */
export const keepAttributes = (data: Buffer, fixed: number, wanted: ReadonlySet<number>): Buffer => {
  const parts = [data.subarray(0, fixed)]
  for (const { type, data: value } of attributes(data.subarray(fixed))) {
    if (!wanted.has(type)) continue
    const header = Buffer.alloc(4)
    structs.writeU16.call(header, 4 + value.length, 0)
    structs.writeU16.call(header, type, 2)
    parts.push(header, value, Buffer.alloc(align(value.length) - value.length))
  }
  return Buffer.concat(parts)
}

export const u32 = (value: number): Buffer => structs.putU32(value)

const NLMSGERR_ATTR_MSG = 1

/** What an NLMSG_ERROR, or the end of a dump, says. `errno` is positive, 0 for success. */
export const parseAck = (message: NetlinkMessage): { readonly errno: number; readonly text?: string } | undefined => {
  const { data, type, flags } = message
  if (data.length < 4) return type === NLMSG_DONE ? { errno: 0 } : undefined
  const errno = -structs.readS32.call(data, 0)
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno }
  let at = 4
  if (type === NLMSG_ERROR) {
    if (data.length < 4 + NLMSG_HDRLEN) return { errno }
    const request = structs.readU32.call(data, 4)
    at += (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HDRLEN : align(request)
  }
  for (const attribute of attributes(data.subarray(at)))
    if (attribute.type === NLMSGERR_ATTR_MSG)
      return { errno, text: attribute.data.toString('utf8').replace(/\0.*$/s, '') }
  return { errno }
}
