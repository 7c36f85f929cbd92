/** The build as npm runs it: one class for all, whoever loads it from where. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { addFiles, makeTree } from './tree.ts'

const REPOSITORY = join(import.meta.dirname, '../..')
const BUILD = join(REPOSITORY, 'build/main.ts')

const TREE = {
  'tsconfig.json': readFileSync(join(REPOSITORY, 'tsconfig.json'), 'utf8'),
  'tsconfig.build.json': readFileSync(join(REPOSITORY, 'tsconfig.build.json'), 'utf8').replace(
    ', "machines"',
    '',
  ),
  'src/errors.ts': 'export class Refusal extends Error {}',
  'src/main.ts': `#!/usr/bin/env node
    import { Refusal } from './errors.ts'
    const verb = process.argv[2] === 'store' ? await import('./store.ts') : await import('./ask.ts')
    try {
      verb.run()
    } catch (thrown) {
      process.stdout.write(thrown instanceof Refusal ? 'refused' : 'another class')
    }`,
  'src/ask.ts': "import { refuse } from './refuse.ts'\nexport const run = refuse",
  'src/refuse.ts': `import { Refusal } from './errors.ts'
    import { why } from './why.ts'
    export const refuse = () => { throw new Refusal(why) }`,
  'src/why.ts': "export const why: string = 'so'",
  'src/store.ts': `import { z } from 'zod'
    import { refuse } from './refuse.ts'
    export const run = () => refuse() ?? z.string()`,
}

const WORDS = ['--import', import.meta.resolve('tsx'), BUILD]

/** A build that fails. */
function said(root: string): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, WORDS, {
    cwd: root,
    encoding: 'utf8',
  })
  expect(status).toBeGreaterThan(0)
  return stdout + stderr
}

function build(root: string): void {
  execFileSync(process.execPath, WORDS, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
}

function run(root: string, ...words: string[]): string {
  return execFileSync(process.execPath, [join(root, 'dist/src/main.js'), ...words], {
    encoding: 'utf8',
  })
}

it('what is not light throws what the entry knows', () => {
  const root = makeTree(TREE)
  build(root)
  expect(readFileSync(join(root, 'dist/src/errors.js'), 'utf8')).toContain('../light/light.js')
  expect(run(root, 'ask')).toBe('refused')
  expect(run(root, 'store')).toBe('refused')
})

it('what is light no longer is made by tsc again, though nobody has touched it', () => {
  const root = makeTree(TREE)
  build(root)
  expect(existsSync(join(root, 'dist/light/src-ask.js'))).toBe(true)
  addFiles(root, {
    'src/why.ts': "import { z } from 'zod'\nexport const why: string = z.string().parse('so')",
  })
  build(root)
  expect(run(root, 'ask')).toBe('refused')
  expect(run(root, 'store')).toBe('refused')
  expect(existsSync(join(root, 'dist/light/src-ask.js'))).toBe(false)
  expect(readFileSync(join(root, 'dist/src/refuse.js'), 'utf8')).toContain('./why.js')
})

it('makes what is not there, and all anew where it was cut off', () => {
  const root = makeTree(TREE)
  build(root)
  rmSync(join(root, 'dist/src'), { recursive: true })
  writeFileSync(join(root, 'dist/light/modules.json'), '')
  build(root)
  expect(run(root, 'store')).toBe('refused')
  expect(statSync(join(root, 'dist/src/main.js')).mode & 0o111).toBe(0o111)
})

it('says what tsc has to say, whatever it is', () => {
  const root = makeTree(TREE)
  addFiles(root, {
    'src/ask.ts': "import { refuse } from './refused.ts'\nexport const run = refuse",
  })
  expect(said(root)).toMatch(/src\/ask\.ts.*TS2307/s)
})
