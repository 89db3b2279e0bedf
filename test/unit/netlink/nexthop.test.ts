import { expect, test } from 'vitest'
import { isNexthopMessage, parseNexthop, RTM_NEWNEXTHOP } from '../../../src/netlink/nexthop.ts'
import { attribute, messageOf, nexthopPayload, u32 } from './messages.ts'

const ID = attribute(1, u32(7))
const parse = (attributes: readonly Buffer[], flags = 0): unknown =>
  parseNexthop(messageOf(RTM_NEWNEXTHOP, nexthopPayload(attributes, flags)))

test('an object with gateway, on link, a blackhole', () => {
  const oif = attribute(5, u32(3))
  expect(parse([ID, oif, attribute(6, [192, 0, 2, 1])], 16)).toEqual({
    id: 7,
    oif: 3,
    blackhole: false,
    flags: 16,
    via: Uint8Array.of(192, 0, 2, 1),
  })
  expect(parse([ID, oif])).toEqual({ id: 7, oif: 3, blackhole: false, flags: 0 })
  expect(parse([ID, attribute(4, [])])).toMatchObject({ blackhole: true, oif: 0 })
})

test('a group: members in order, weights of sixteen bits', () => {
  const member = (id: number, low: number, high: number): number[] => [...u32(id), low, high, 0, 0]
  expect(parse([ID, attribute(2, [...member(1, 0, 0), ...member(300, 255, 1)])])).toEqual({
    id: 7,
    oif: 0,
    blackhole: false,
    flags: 0,
    group: [
      { id: 1, weight: 1 },
      { id: 300, weight: 512 },
    ],
  })
})

test('what no route can use, and what makes no sense', () => {
  expect(parse([ID, attribute(11, [])])).toBeUndefined()
  expect(() => parse([attribute(5, u32(3))])).toThrow('without id')
  expect(() => parse([ID, attribute(6, [1, 2, 3])])).toThrow('4 or 16 bytes')
  expect(() => parseNexthop(messageOf(RTM_NEWNEXTHOP, Buffer.alloc(7)))).toThrow('cut off')
  expect(isNexthopMessage(messageOf(24, Buffer.alloc(8)))).toBe(false)
  const whole = nexthopPayload([ID, attribute(6, [192, 0, 2, 1]), attribute(2, Buffer.alloc(12, 1))])
  for (let length = 0; length < whole.length; length++)
    try {
      parseNexthop(messageOf(RTM_NEWNEXTHOP, whole.subarray(0, length)))
    } catch (error) {
      expect(error).toBeInstanceOf(Error)
    }
})
