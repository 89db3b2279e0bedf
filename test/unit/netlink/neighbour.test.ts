import { expect, test } from 'vitest'
import { isNeighbourMessage, parseNeighbour, RTM_DELNEIGH, RTM_NEWNEIGH } from '../../../src/netlink/neighbour.ts'
import { attribute, messageOf, neighbourPayload, u32 } from './messages.ts'

const DST = attribute(1, [192, 0, 2, 1])
const LLADDR = attribute(2, [2, 0, 0, 0, 0, 1])
const parse = (facts: Parameters<typeof neighbourPayload>[0], attributes: readonly Buffer[]): unknown =>
  parseNeighbour(messageOf(RTM_NEWNEIGH, neighbourPayload(facts, attributes)))

test('state, flags and addresses', () => {
  expect(parse({ ifindex: 9, state: 0x82, flags: 0x10 }, [DST, LLADDR, attribute(15, u32(1))])).toEqual({
    ifindex: 9,
    version: 4,
    address: Uint8Array.of(192, 0, 2, 1),
    state: 0x82,
    flags: 0x10,
    managed: true,
    lladdr: Uint8Array.of(2, 0, 0, 0, 0, 1),
  })
  expect(parse({ state: 1 }, [DST])).not.toHaveProperty('lladdr')
  expect(parse({ state: 1 }, [DST, attribute(15, u32(6))])).toMatchObject({ managed: false })
  expect(parse({ family: 10 }, [attribute(1, new Uint8Array(16).fill(1)), LLADDR])).toMatchObject({ version: 6 })
})

test('no entries of bridges, proxies, or other tables', () => {
  const is = (facts: Parameters<typeof neighbourPayload>[0], type = RTM_NEWNEIGH): boolean =>
    isNeighbourMessage(messageOf(type, neighbourPayload(facts, [DST])))
  expect(is({})).toBe(true)
  expect(is({}, RTM_DELNEIGH)).toBe(true)
  expect(is({ family: 7 })).toBe(false)
  expect(is({ flags: 8 })).toBe(false)
  expect(is({}, 24)).toBe(false)
  expect(isNeighbourMessage(messageOf(RTM_NEWNEIGH, Buffer.alloc(0)))).toBe(false)
})

test('what makes no sense throws an Error, wherever it is cut off', () => {
  expect(() => parse({}, [LLADDR])).toThrow('without address')
  expect(() => parse({ family: 10 }, [DST])).toThrow('without address')
  const whole = neighbourPayload({}, [LLADDR, DST])
  for (let length = 0; length < whole.length; length++)
    expect(() => parseNeighbour(messageOf(RTM_NEWNEIGH, whole.subarray(0, length)))).toThrow(Error)
})
