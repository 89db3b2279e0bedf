import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { callVerb } from '../../../src/control/client.ts'
import { VerbError, VerbRegistry } from '../../../src/control/registry.ts'
import { UnixctlServer } from '../../../src/control/unixctl.ts'

const run = promisify(execFile)
let dir: string
let server: UnixctlServer
const failures: string[] = []

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'unixctl-'))
  const registry = new VerbRegistry()
  registry.register('echo', '[WORD...]', 0, 3, (args) => ({ text: `${args.join(' ')}\n`, json: { words: args } }))
  registry.register('refuse', '', 0, 0, () => {
    throw new VerbError('no such bridge br9')
  })
  registry.register('slow', '', 0, 0, async () => {
    await delay(100)
    return { text: 'done' }
  })
  registry.register('stuck', '', 0, 0, () => new Promise(() => {}))
  registry.register('break', '', 0, 0, () => {
    throw new Error('our fault')
  })
  server = await UnixctlServer.listen(join(dir, 'x.ctl'), registry, (verb) => failures.push(verb))
})

afterEach(async () => {
  await server.close()
  rmSync(dir, { recursive: true })
})

test('ovs-appctl of Debian calls a verb and prints its text', async () => {
  const { stdout } = await run('ovs-appctl', ['-t', server.path, 'echo', 'a', 'b c'])
  expect(stdout).toBe('a b c\n')
})

test('a refusal reaches ovs-appctl as its error', async () => {
  await expect(run('ovs-appctl', ['-t', server.path, 'refuse'])).rejects.toMatchObject({
    stderr: expect.stringContaining('no such bridge br9'),
  })
})

test('only the owner may use the socket', () => {
  expect(statSync(server.path).mode & 0o777).toBe(0o600)
})

test('json clients get the data behind the text', async () => {
  expect(await callVerb(server.path, 'echo', ['x'], true)).toEqual({ words: ['x'] })
})

test('unknown verbs and wrong argument counts are named', async () => {
  await expect(callVerb(server.path, 'nothing', [])).rejects.toThrow('"nothing" is not a valid command')
  await expect(callVerb(server.path, 'echo', ['1', '2', '3', '4'])).rejects.toThrow('takes at most 3')
})

test('a fault of ours is answered and reported, not lost', async () => {
  await expect(callVerb(server.path, 'break', [])).rejects.toThrow('our fault')
  expect(failures).toContain('break')
})

test('a second server on a live socket is refused, a stale file is replaced', async () => {
  const registry = new VerbRegistry()
  await expect(UnixctlServer.listen(server.path, registry, () => {})).rejects.toThrow('another process listens')
})

test('requests cut anywhere and sent back to back are answered in order', async () => {
  const text = ['a', '{"x', ']}'].map((w, id) => JSON.stringify({ id, method: 'echo', params: [w] })).join('')
  const got = await new Promise<string>((resolve) => {
    const socket = connect(server.path)
    let all = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      all += chunk
      if (all.split('\n').length === 4) {
        socket.destroy()
        resolve(all)
      }
    })
    for (const c of text) socket.write(c)
  })
  expect(
    got
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l).result),
  ).toEqual(['a\n', '{"x\n', ']}\n'])
})

test('garbage is answered with an error and the connection ends', async () => {
  const got = await new Promise<string>((resolve) => {
    const socket = connect(server.path)
    let all = ''
    socket.on('data', (chunk) => {
      all += chunk
    })
    socket.on('close', () => resolve(all))
    socket.write('hello')
  })
  expect(got).toContain('a JSON object or array expected')
})

test('what is not empty ends its line, answers and refusals alike', async () => {
  expect(await callVerb(server.path, 'slow', [])).toBe('done\n')
  await expect(run('ovs-appctl', ['-t', server.path, 'refuse'])).rejects.toMatchObject({
    stderr: expect.stringMatching(/^no such bridge br9\novs-appctl: /),
  })
  await expect(callVerb(server.path, 'refuse', [])).rejects.toThrow(/^no such bridge br9$/)
})

test('a close waits for verbs that run, but not for ever', async () => {
  const answer = callVerb(server.path, 'slow', [])
  const never = callVerb(server.path, 'stuck', []).catch((error: Error) => error.message)
  await callVerb(server.path, 'echo', [])
  const start = performance.now()
  await server.close()
  expect(await answer).toBe('done\n')
  expect(await never).toContain('connection closed')
  expect(performance.now() - start).toBeLessThan(3000)
})

test('a path that another switch listens on, or that is a file, is not taken; a stale socket is', async () => {
  await expect(UnixctlServer.mustBeFree(server.path)).rejects.toThrow('another process listens there')
  writeFileSync(join(dir, 'file'), '')
  await expect(UnixctlServer.mustBeFree(join(dir, 'file'))).rejects.toThrow('no socket is there')
  await expect(UnixctlServer.mustBeFree(join(dir, 'file/x'))).rejects.toThrow(`control socket ${dir}/file/x: ENOTDIR`)
  await UnixctlServer.mustBeFree(join(dir, 'nothing'))
  const script = `require('net').createServer().listen(${JSON.stringify(join(dir, 'stale'))}, () => process.kill(process.pid, 'SIGKILL'))`
  await run(process.execPath, ['-e', script]).catch(() => {})
  expect(existsSync(join(dir, 'stale'))).toBe(true)
  await UnixctlServer.mustBeFree(join(dir, 'stale'))
})
