/** One binary for every Node: this one, and those whose programs TAPSWITCH_NODES names, separated by colons. */
import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { must } from '../kit/process.ts'
import { Testbed } from '../kit/testbed.ts'
import { ADDON } from './splice.ts'

let bed: Testbed
beforeEach(() => {
  bed = new Testbed()
})
afterEach(() => bed.close())

const others = (process.env['TAPSWITCH_NODES'] ?? '').split(':').filter((path) => path !== '')
const nodes = [process.execPath, ...others].map((path): [string, string] => [
  execFileSync(path, ['--version'], { encoding: 'utf8' }).trim(),
  path,
])

it.each(nodes)('%s loads it in threads that come and go', async (version, path) => {
  const { netns } = await bed.guest('g')
  const child = new URL('./node-child.mjs', import.meta.url).pathname
  expect(await must([path, child, ADDON, netns])).toBe(`fine on ${version}\n`)
})
