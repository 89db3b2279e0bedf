import { describe, expect, it } from 'vitest'
import { createKey, K_VLAN0, K_VLAN1 } from '../../../src/flow/key.ts'
import { resolveVlan, tagsOf, tagWords, trunksVlan, VlanSet } from '../../../src/ofproto/vlan.ts'

describe('VLAN settings', () => {
  it('default to trunk without a tag and to access with one', () => {
    expect(resolveVlan({})).toMatchObject({ mode: 'trunk', vlan: -1, trunks: null })
    expect(resolveVlan({ tag: 5, trunks: [1] })).toMatchObject({ mode: 'access', vlan: 5, trunks: null })
    expect(resolveVlan({ vlanMode: 'access' })).toMatchObject({ vlan: 0 })
    expect(resolveVlan({ vlanMode: 'dot1q-tunnel', tag: 9 })).toMatchObject({ qinqEthertype: 0x88a8, cvlans: null })
  })

  it('always carry the native VLAN, which then is what VLAN 0 is', () => {
    const some = resolveVlan({ vlanMode: 'native-tagged', tag: 10, trunks: [0, 20] })
    expect([0, 10, 20, 30].map((vlan) => trunksVlan(some, vlan))).toEqual([false, true, true, false])
    const all = resolveVlan({ vlanMode: 'native-untagged', tag: 10 })
    expect([0, 10, 20].map((vlan) => trunksVlan(all, vlan))).toEqual([false, true, true])
    const zero = resolveVlan({ vlanMode: 'native-untagged', tag: 0 })
    expect(trunksVlan(zero, 0)).toBe(true)
  })

  it('reject VLANs that there are not', () => {
    expect(() => resolveVlan({ tag: 4096 })).toThrow('0..4095')
    expect(() => resolveVlan({ trunks: [-1] })).toThrow('0..4095')
    expect(() => new VlanSet([1.5])).toThrow('0..4095')
  })
})

describe('tags', () => {
  it('are read from a key and written back', () => {
    const key = createKey()
    key[K_VLAN0] = 0x88a8700a | 0
    key[K_VLAN1] = 0x81001014 | 0
    const tags = tagsOf(key)
    expect(tags.map((tag) => tag.vid)).toEqual([10, 20, 0])
    expect(tagWords(tags, 'never')).toEqual([0x88a8700a | 0, 0x81001014 | 0, 0])
  })

  it('do not exist behind a missing outer one', () => {
    const key = createKey()
    key[K_VLAN1] = 0x81001014 | 0
    expect(tagsOf(key).map((tag) => tag.vid)).toEqual([0, 0, 0])
  })
})
