/** Random OpenFlow actions, as parseActions gives them. For property tests. */
import fc from 'fast-check'
import type { Field } from '../../../src/flow/fields.ts'
import { fullMask } from '../../../src/flow/fields.ts'
import type { OfpAction, Subfield } from '../../../src/flow/ofp.ts'
import { FIELDS, fieldNamed } from '../../../src/flow/registry.ts'

const PORT = fc.integer({ min: 0, max: 0xfeff })
const port = fc.oneof(PORT, fc.constantFrom(0xfff8, 0xfff9, 0xfffa, 0xfffb, 0xfffc, 0xfffe))

const settable = FIELDS.filter((f) => f.writable && !f.name.startsWith('ct_'))

const fieldValue = (field: Field): fc.Arbitrary<bigint> => {
  if (field.format === 'port') return PORT.map(BigInt)
  const any = fc.bigInt({ min: 0n, max: fullMask(field) })
  return field.name === 'nw_tos' ? any.map((v) => v & 0xfcn) : any
}

const maskOf = (field: Field): fc.Arbitrary<bigint> => {
  const full = fc.constant(fullMask(field))
  return field.masking === 'none' ? full : fc.oneof(full, fc.bigInt({ min: 1n, max: fullMask(field) }))
}

const subfieldOf = (field: Field): fc.Arbitrary<Subfield> =>
  fc
    .tuple(fc.integer({ min: 0, max: field.bits - 1 }), fc.integer({ min: 0, max: field.bits - 1 }))
    .map(([a, b]) => ({ field, start: Math.min(a, b), bits: Math.abs(a - b) + 1 }))

const setField: fc.Arbitrary<OfpAction> = fc
  .constantFrom(...settable)
  .chain((field) =>
    fc.record({
      type: fc.constant('set_field' as const),
      field: fc.constant(field),
      value: fieldValue(field),
      mask: maskOf(field),
    }),
  )
  .map((action) => ({ ...action, value: action.value & action.mask }))

const load: fc.Arbitrary<OfpAction> = fc
  .constantFrom(...settable)
  .chain(subfieldOf)
  .chain((dst) =>
    fc.bigInt({ min: 0n, max: (1n << BigInt(dst.bits)) - 1n }).map((value) => ({ type: 'load', dst, value })),
  )

const move: fc.Arbitrary<OfpAction> = fc
  .tuple(fc.constantFrom(...FIELDS), fc.constantFrom(...settable))
  .map(([from, to]) => {
    const bits = Math.min(from.bits, to.bits)
    return { type: 'move', src: { field: from, start: from.bits - bits, bits }, dst: { field: to, start: 0, bits } }
  })

const MODS = [
  ['mod_dl_src', 'dl_src'],
  ['mod_dl_dst', 'dl_dst'],
  ['mod_nw_src', 'nw_src'],
  ['mod_nw_dst', 'nw_dst'],
  ['mod_nw_tos', 'nw_tos'],
  ['mod_nw_ecn', 'nw_ecn'],
  ['mod_nw_ttl', 'nw_ttl'],
  ['mod_tp_src', 'tp_src'],
  ['mod_tp_dst', 'tp_dst'],
] as const

const mod: fc.Arbitrary<OfpAction> = fc.constantFrom(...MODS).chain(([name, fieldName]) => {
  const field = fieldNamed(fieldName)
  return fieldValue(field).map((value) => ({ type: 'mod', name, field, value }))
})

const plain: fc.Arbitrary<OfpAction> = fc.oneof<fc.Arbitrary<OfpAction>[]>(
  port.map((p) => ({ type: 'output', port: p })),
  fc.record({ type: fc.constant('output'), port: PORT, maxLen: fc.integer({ min: 14, max: 65535 }) }),
  fc.integer({ min: 0, max: 65535 }).map((maxLen) => ({ type: 'output', port: 0xfffd, maxLen })),
  fc.constantFrom(0x8100, 0x88a8).map((ethertype) => ({ type: 'push_vlan', ethertype })),
  fc.constantFrom(0x8847, 0x8848).map((ethertype) => ({ type: 'push_mpls', ethertype })),
  fc.integer({ min: 0, max: 0xffff }).map((ethertype) => ({ type: 'pop_mpls', ethertype })),
  fc.integer({ min: 0, max: 4095 }).map((vid) => ({ type: 'mod_vlan_vid', vid })),
  fc.integer({ min: 0, max: 7 }).map((pcp) => ({ type: 'mod_vlan_pcp', pcp })),
  fc.nat().map((queue) => ({ type: 'set_queue', queue })),
  fc.record({ type: fc.constant('resubmit'), port: PORT, table: fc.integer({ min: 0, max: 255 }) }),
  fc.integer({ min: 0, max: 254 }).map((table) => ({ type: 'resubmit', port: 0xfff8, table })),
  fc.constantFrom({ type: 'strip_vlan' }, { type: 'dec_ttl' }),
  setField,
  load,
  move,
  mod,
)

const onlyApplied: fc.Arbitrary<OfpAction> = fc.oneof<fc.Arbitrary<OfpAction>[]>(
  fc
    .constantFrom(...FIELDS)
    .chain(subfieldOf)
    .map((src) => ({ type: 'output_reg', src })),
  fc.constant({ type: 'pop_queue' }),
  fc.uint8Array({ maxLength: 20 }).map((data) => ({ type: 'note', data })),
)

const applied: fc.Arbitrary<OfpAction> = fc.oneof(
  { weight: 9, arbitrary: plain },
  { weight: 1, arbitrary: onlyApplied },
)

const withClones: fc.Arbitrary<OfpAction> = fc.oneof(
  { weight: 9, arbitrary: applied },
  { weight: 1, arbitrary: fc.array(applied, { maxLength: 3 }).map((actions) => ({ type: 'clone' as const, actions })) },
)

const maybe = (arbitrary: fc.Arbitrary<OfpAction>): fc.Arbitrary<OfpAction[]> =>
  fc.option(arbitrary, { nil: undefined }).map((action) => (action === undefined ? [] : [action]))

const M64 = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn })

/** A list as a rule has it: applied actions, then instructions in their order. */
export const ofpActions: fc.Arbitrary<OfpAction[]> = fc
  .tuple(
    fc.array(withClones, { maxLength: 5 }),
    maybe(fc.constant({ type: 'clear_actions' })),
    maybe(fc.array(plain, { maxLength: 3 }).map((actions) => ({ type: 'write_actions', actions }))),
    maybe(
      fc.record({
        type: fc.constant('write_metadata'),
        value: M64,
        mask: fc.oneof(M64, fc.constant(0xffffffffffffffffn)),
      }),
    ),
    maybe(fc.integer({ min: 1, max: 254 }).map((table) => ({ type: 'goto_table', table }))),
  )
  .map((lists) => lists.flat())
