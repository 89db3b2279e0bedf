/** The documentation against the program: every command is run where its page says, and what it prints compared; configurations are checked; links lead somewhere. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseProfile } from '../../../src/eswitch/profile-file.ts'
import { TAPSWITCH } from '../kit/daemon.ts'
import { must, run } from '../kit/process.ts'
import { Testbed } from '../kit/testbed.ts'
import { type ConsoleBlock, readPage } from './page.ts'
import { difference } from './shown.ts'

const TOP = fileURLToPath(new URL('../../../', import.meta.url))
const bed = new Testbed()
afterAll(() => bed.close())

const PAGES = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(TOP, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
  ...readdirSync(join(TOP, 'lab')).flatMap((lab) => {
    const page = `lab/${lab}/README.md`
    return existsSync(join(TOP, page)) ? [page] : []
  }),
]
const textOf = (page: string): string => readFileSync(join(TOP, page), 'utf8')
const pages = PAGES.map((page) => ({ page, text: textOf(page), ...readPage(page, textOf(page)) }))
const blocks = pages.flatMap(({ consoles }) => consoles)
/** Headings as links name them. */
const anchorsOf = (page: string): string[] =>
  [...textOf(page).matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
const inSetting = (wanted: (block: ConsoleBlock) => boolean) =>
  blocks.filter(wanted).map((block) => ({ name: `${block.page}:${block.line}`, block }))

/** Tests are root already, and a start of npx for each command would take longer than all the rest. */
const asRun = (command: string): string =>
  command.replaceAll(/\bsudo (-E )?/g, '').replaceAll(/\bnpx tapswitch\b/g, `"${process.execPath}" "${TAPSWITCH}"`)

const runBlock = async (block: ConsoleBlock, env: Record<string, string> = {}): Promise<void> => {
  for (const { text, output } of block.commands) {
    const { code, stdout } = await run(['bash', '-c', `exec 2>&1; cd "${TOP}"; ${asRun(text)}`], { env })
    expect({ text, code }, stdout).toEqual({ text, code: block.exit })
    if (output.length > 0)
      expect(difference(output, stdout), `${block.page}:${block.line}: ${text}\n${stdout}`).toBe(undefined)
  }
}

describe('every page', () => {
  it.each(pages)('$page shows commands only with their setting, and nowhere else', ({ consoles, code }) => {
    expect(consoles.filter((block) => block.setting === undefined).map((block) => block.line)).toEqual([])
    const elsewhere = code.filter(({ lines }) =>
      lines.some((line) => /^(\$ |sudo |npx |scripts\/|lab\/|ovs-)/.test(line)),
    )
    expect(elsewhere.map((block) => block.line)).toEqual([])
  })

  it.each(pages)('$page has links that lead somewhere', ({ page, text }) => {
    const dead = [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link]) => {
      const [to = '', heading] = link!.split('#')
      if (/^\w+:/.test(link!)) return []
      const target = to === '' ? page : join(dirname(page), to)
      if (!existsSync(join(TOP, target))) return [link]
      return heading === undefined || anchorsOf(target).includes(heading) ? [] : [link]
    })
    expect(dead).toEqual([])
  })

  it('in docs/ is linked from the README', () => {
    const readme = textOf('README.md')
    expect(PAGES.filter((page) => page.startsWith('docs/') && !readme.includes(`](${page})`))).toEqual([])
  })

  it.each(pages)('$page has configurations and profiles that are good', async ({ page, code }) => {
    for (const { line, language, lines } of code.filter((block) => block.language === 'yaml')) {
      const text = lines.join('\n')
      if (/^table-size:/m.test(text)) {
        parseProfile(text, `${page}:${line}`)
        continue
      }
      const file = bed.path(`${page.replaceAll('/', '-')}-${line}.yaml`)
      writeFileSync(file, text)
      const {
        code: status,
        stdout,
        stderr,
      } = await run([process.execPath, TAPSWITCH, 'run', '--check', '--config', file])
      expect({ at: `${page}:${line}`, language, status }, stdout + stderr).toMatchObject({ status: 0 })
    }
  })
})

/** How a lab is brought up. For vxlan that is the demo itself, which leaves it up. */
const UP: Record<string, string> = { vxlan: 'scripts/demo --keep' }
const PASS: Record<string, string> = { vxlan: 'demo: PASS' }
const upOf = (lab: string): string => UP[lab] ?? `lab/${lab}/run --keep`
const downOf = (lab: string): string => `lab/${lab}/run --down`
const passOf = (lab: string): string => PASS[lab] ?? `lab ${lab}: PASS`

const labs = [...new Set(blocks.flatMap(({ setting }) => (setting?.kind === 'lab' ? [setting.lab] : [])))]
/** Commands that this file runs. */
const HERE = labs.flatMap((lab) => [upOf(lab), downOf(lab)]).join('\n')

describe('commands that others run', () => {
  it.each(inSetting(({ setting }) => setting?.kind === 'elsewhere'))('$name', ({ block }) => {
    const { setting } = block
    if (setting?.kind !== 'elsewhere') return
    const text = setting.file === 'test/system/docs/docs.test.ts' ? HERE : textOf(setting.file)
    for (const command of block.commands) expect(text).toContain(command.text.replace(/^sudo /, ''))
  })
})

describe('commands that need nothing', () => {
  it.each(inSetting(({ setting }) => setting?.kind === 'offline'))('$name', ({ block }) => runBlock(block))

  it('npx tapswitch is the program', async () => {
    const version = await must(['npx', 'tapswitch', 'lab', 'list'])
    expect(version).toBe(await must([process.execPath, TAPSWITCH, 'lab', 'list']))
  })
})

describe.each(labs)('commands in lab %s', (lab) => {
  let words = ''
  beforeAll(async () => {
    bed.defer(() => run(downOf(lab).split(' ')))
    const { stdout, stderr } = await run(upOf(lab).split(' '), { timeout: 170_000 })
    words = stdout + stderr
    expect(words).toContain('the lab stays up')
  }, 180_000)
  afterAll(async () => {
    await must(downOf(lab).split(' '))
  })

  it('after it has passed', () => {
    expect(words.trimEnd().split('\n').at(-1), words).toContain(passOf(lab))
  })

  const env = { TAPSWITCH_CONTROL: `/run/tapswitch/lab-${lab}.ctl` }
  it.each(inSetting(({ setting }) => setting?.kind === 'lab' && setting.lab === lab))('$name', ({ block }) =>
    runBlock(block, env),
  )
})
