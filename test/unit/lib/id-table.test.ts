import { describe, expect, it } from 'vitest'
import { IdTable } from '../../../src/lib/id-table.ts'

describe('a table by id', () => {
  it('counts and lists what is there, by its number, also when numbers are used again', () => {
    const table = new IdTable<{ name: string }>()
    for (const id of [4, 0, 2]) table.set(id, { name: `first ${id}` })
    expect([...table.values()].map(({ name }) => name)).toEqual(['first 0', 'first 2', 'first 4'])
    expect([table.delete(2), table.delete(2), table.delete(9)]).toEqual([true, false, false])
    expect([table.size, table.get(2), table.get(9)]).toEqual([2, undefined, undefined])
    table.set(2, { name: 'second 2' })
    table.set(2, { name: 'third 2' })
    expect([table.size, table.get(2)]).toEqual([3, { name: 'third 2' }])
  })

  it('is walked while things come and go', () => {
    const table = new IdTable<{ id: number }>()
    for (const id of [1, 3, 5]) table.set(id, { id })
    expect(table.from(0)).toBe(1)
    table.delete(3)
    table.set(6, { id: 6 })
    expect([table.from(2), table.from(6), table.from(7)]).toEqual([5, 6, -1])
  })
})
