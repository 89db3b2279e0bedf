/**
 * The configuration file's shape (DESIGN section 5), as zod schemas: what is allowed, its defaults, and in words what was expected.
 * load.ts adds line and column to complaints; check.ts what one value demands of another.
 */
import { isIP } from 'node:net'
import { z } from 'zod'

const interfaceName = z
  .string()
  .regex(/^[^\s/:]{1,15}$/, 'an interface name expected: 1 to 15 characters, no space, "/" or ":"')
  .refine((name) => name !== '.' && name !== '..', 'an interface name expected')
const bridgeName = interfaceName
const netns = z.string().regex(/^[^\s/]{1,64}$/, 'the name of a namespace of "ip netns" expected')
const mac = z
  .string()
  .regex(/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/, 'a MAC address like 02:00:00:00:01:01 expected')
  .transform((text) => text.toLowerCase())
const mtu = z.number().int().min(68, 'an MTU of 68..65535 expected').max(65535, 'an MTU of 68..65535 expected')
const vid = z.number().int().min(0, 'a VLAN id of 0..4095 expected').max(4095, 'a VLAN id of 0..4095 expected')
const isCidr = (text: string): boolean => {
  const [ip = '', length = '', ...rest] = text.split('/')
  const version = isIP(ip)
  return version !== 0 && rest.length === 0 && /^\d{1,3}$/.test(length) && Number(length) <= (version === 4 ? 32 : 128)
}
const address = z.string().refine(isCidr, 'an address with prefix length like 192.168.0.1/24 expected')

const offloads = z.enum(['best', 'none'], 'virtio-net offloads of the TAP: "best" or "none" expected')

export const eswitchPortSchema = z.strictObject({
  role: z.enum(['vf', 'uplink'], '"vf" or "uplink" expected'),
  netns: netns.optional(),
  mtu: mtu.optional(),
  mac: mac.optional(),
  offloads: offloads.default('best'),
  persist: z.boolean().default(false),
})

export const eswitchSchema = z.strictObject({
  profile: z.string().min(1).default('default'),
  'switch-id': mac.optional(),
  ports: z.record(interfaceName, eswitchPortSchema).default({}),
})

const vlanOptions = {
  tag: vid.optional(),
  trunks: z.array(vid).optional(),
  vlan_mode: z
    .enum(
      ['access', 'trunk', 'native-tagged', 'native-untagged', 'dot1q-tunnel'],
      '"access", "trunk", "native-tagged", "native-untagged" or "dot1q-tunnel" expected',
    )
    .optional(),
  cvlans: z.array(vid).optional(),
  ofport: z
    .number()
    .int()
    .min(1, 'an ofport of 1..65279 expected')
    .max(65279, 'an ofport of 1..65279 expected')
    .optional(),
  protected: z.boolean().default(false),
}

export const bridgePortSchema = z.strictObject({
  type: z
    .enum(
      ['tap', 'packet', 'patch', 'vxlan'],
      '"tap", "packet", "patch" or "vxlan" expected (or none, for a port of an eswitch)',
    )
    .optional(),
  netns: netns.optional(),
  mtu: mtu.optional(),
  mac: mac.optional(),
  offloads: offloads.default('best'),
  persist: z.boolean().default(false),
  ...vlanOptions,
  options: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()], 'a text, a number, or true or false expected'))
    .default({}),
})

export const bridgeSchema = z.strictObject({
  internal: z
    .strictObject({
      stack: z.enum(['host', 'none'], '"host" or "none" expected').default('host'),
      addresses: z.array(address).default([]),
      mtu: mtu.optional(),
      mac: mac.optional(),
      netns: netns.optional(),
    })
    .optional(),
  ports: z.record(interfaceName, bridgePortSchema.nullable()).default({}),
  flows: z.array(z.string()).optional(),
  'mac-aging': z.number().int().min(1, 'seconds, 1..3600 expected').max(3600, 'seconds, 1..3600 expected').default(300),
  'mac-table-size': z
    .number()
    .int()
    .min(10, 'addresses, 10..1000000 expected')
    .max(1_000_000, 'addresses, 10..1000000 expected')
    .default(8192),
  'forward-bpdu': z.boolean().default(false),
})

export const configSchema = z.strictObject({
  control: z.string('an absolute path of a socket expected').startsWith('/', 'an absolute path of a socket expected'),
  eswitches: z.record(interfaceName, eswitchSchema).default({}),
  bridges: z.record(bridgeName, bridgeSchema).default({}),
  underlay: z.strictObject({ netns: netns.optional() }).default({}),
  offload: z.strictObject({ enabled: z.boolean().default(true) }).default({ enabled: true }),
  datapath: z
    .strictObject({
      'flow-limit': z
        .number()
        .int()
        .min(1, 'flows, 1..1000000 expected')
        .max(1_000_000, 'flows, 1..1000000 expected')
        .default(200_000),
      'max-idle': z.number().int().min(500, 'milliseconds, at least 500 expected').default(10_000),
    })
    .default({ 'flow-limit': 200_000, 'max-idle': 10_000 }),
})

export type Config = z.infer<typeof configSchema>
export type BridgeConfig = Config['bridges'][string]
export type BridgePortConfig = z.infer<typeof bridgePortSchema>
export type EswitchConfig = Config['eswitches'][string]
export type EswitchPortConfig = EswitchConfig['ports'][string]

/** What a port without any settings is. */
export const bridgePortDefaults: BridgePortConfig = bridgePortSchema.parse({})
