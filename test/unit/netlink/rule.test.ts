import { expect, test } from 'vitest'
import { parseRule, RTM_NEWRULE, type Rule } from '../../../src/netlink/rule.ts'
import { attribute, messageOf, rulePayload, u32 } from './messages.ts'

const parse = (
  family: 4 | 6,
  header: Parameters<typeof rulePayload>[1] = {},
  attributes: readonly Buffer[] = [],
): Rule => parseRule(messageOf(RTM_NEWRULE, rulePayload(family, header, attributes)))

test('selectors, table, goto, what is held back', () => {
  const rule = parse(4, { srcLength: 24, flags: 2, table: 0 }, [
    attribute(2, [192, 0, 2, 0]),
    attribute(3, Buffer.from('v0\0')),
    attribute(6, u32(100)),
    attribute(10, u32(2)),
    attribute(16, u32(3)),
    attribute(15, u32(1000)),
    attribute(14, u32(16)),
  ])
  expect(rule).toMatchObject({
    priority: 100,
    iif: 'v0',
    mark: 2,
    mask: 3,
    table: 1000,
    suppressLength: 16,
    invert: true,
  })
  expect(rule.from).toEqual({ bytes: Uint8Array.of(192, 0, 2, 0), length: 24 })
  expect(parse(4, { action: 2 }, [attribute(4, u32(150))])).toMatchObject({ action: 'goto', target: 150 })
  expect(parse(6).suppressLength).toBe(-1)
  expect([1, 2, 3, 6, 7, 8, 99].map((action) => parse(4, { action }).action)).toEqual([
    'table',
    'goto',
    'nop',
    'blackhole',
    'unreachable',
    'prohibit',
    'nop',
  ])
})

test('a TOS looks at three bits of DSCP in IPv4 and at six in IPv6; a DSCP at six, or as masked', () => {
  expect(parse(4, { tos: 0x18 })).toMatchObject({ tos: 0x18, tosMask: 0x1c })
  expect(parse(6, { tos: 0xb8 })).toMatchObject({ tos: 0xb8, tosMask: 0xfc })
  expect(parse(4, {}, [attribute(25, [46])])).toMatchObject({ tos: 0xb8, tosMask: 0xfc })
  expect(parse(4, {}, [attribute(25, [40]), attribute(30, [56])])).toMatchObject({ tos: 0xa0, tosMask: 0xe0 })
  expect(parse(4)).not.toHaveProperty('tos')
})

test('what selects by what we cannot know matches nothing', () => {
  expect(parse(4).foreign).toBe(false)
  expect(parse(4, {}, [attribute(19, [1])]).foreign).toBe(true)
  expect(parse(4, {}, [attribute(12, [0, 0, 0, 0, 0, 0, 0, 9])]).foreign).toBe(true)
  expect(parse(4, {}, [attribute(26, u32(1))]).foreign).toBe(true)
})
