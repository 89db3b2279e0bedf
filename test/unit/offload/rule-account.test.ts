import { expect, test } from 'vitest'
import { createStats, RuleAccount } from '../../../src/offload/rule-account.ts'

const total = (account: RuleAccount): [number, number, number, number] => {
  const sum = createStats()
  account.addTo(sum)
  return [sum.packets, sum.bytes, sum.used, sum.tcpFlags]
}

test('a late, smaller reading is no restart', () => {
  const account = new RuleAccount()
  account.read({ packets: 5, bytes: 500, used: 9, tcpFlags: 2 })
  account.read({ packets: 3, bytes: 300, used: 7, tcpFlags: 0 })
  expect(total(account)).toEqual([5, 500, 9, 2])
})

test('after a replacement it is, once', () => {
  const account = new RuleAccount()
  account.read({ packets: 5, bytes: 500, used: 9, tcpFlags: 2 })
  account.replaced()
  account.read({ packets: 1, bytes: 100, used: 12, tcpFlags: 16 })
  expect(total(account)).toEqual([6, 600, 12, 18])
  account.read({ packets: 0, bytes: 0, used: 0, tcpFlags: 0 })
  expect(total(account)).toEqual([6, 600, 12, 18])
})
