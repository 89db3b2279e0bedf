/**
 * Features of the running kernel that a system test may need. A test may be skipped only by `needKernel`, which names what is absent; the
 * reporter (scripts/reporter.mjs) counts any other skip as a failure.
 */
import type { TestContext } from 'vitest'
import { run } from './process.ts'

/** Tries a link of the type in a throw-away namespace, as the only sure way to ask. */
const takesLink = async (...link: readonly string[]): Promise<boolean> => {
  const netns = `tsprobe${process.pid}`
  await run(['ip', 'netns', 'add', netns])
  try {
    await run(['ip', '-netns', netns, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1'])
    return (await run(['ip', '-netns', netns, 'link', 'add', ...link])).code === 0
  } finally {
    await run(['ip', 'netns', 'del', netns])
  }
}

const PROBES = {
  veth: () => takesLink('w0', 'type', 'veth', 'peer', 'name', 'w1'),
  '8021q': () => takesLink('link', 'v0', 'name', 'p0', 'type', 'vlan', 'id', '7'),
  bridge: () => takesLink('p0', 'type', 'bridge'),
  vxlan: () => takesLink('p0', 'type', 'vxlan', 'id', '7', 'dstport', '4789'),
  vrf: () => takesLink('p0', 'type', 'vrf', 'table', '7'),
} as const

export type KernelFeature = keyof typeof PROBES

const known = new Map<KernelFeature, Promise<boolean>>()

/** Skips the test when the kernel lacks one of the features, naming it. */
export const needKernel = async (context: TestContext, ...features: readonly KernelFeature[]): Promise<void> => {
  for (const feature of features) {
    const probe = known.get(feature) ?? PROBES[feature]()
    known.set(feature, probe)
    if (!(await probe)) context.skip(`kernel lacks ${feature}`)
  }
}
