/** The README's machine in twelve lines, run as a reader would: as a file that imports `troupe`. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
/** Inside the package, so that `troupe` is found; built files are there anyway. */
const PLACE = join(ROOT, 'dist', 'readme-example')

beforeAll(() => mkdirSync(PLACE, { recursive: true }))
afterAll(() => rmSync(PLACE, { recursive: true, force: true }))

function example(): string {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1]
  if (!code) throw new Error('the README has no TypeScript example')
  return code
}

test('the example has at most twelve lines beside its imports and runs twice', async () => {
  if (!existsSync(join(ROOT, 'dist/src/index.js'))) throw new Error('run npm run build first')
  const lines = example()
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('import '))
  expect(lines.length).toBeLessThanOrEqual(12)
  writeFileSync(join(PLACE, 'counter.ts'), example())
  const run = async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', 'counter.ts'],
      { cwd: PLACE },
    )
    return stdout.trim()
  }
  expect(await run()).toBe('2')
  expect(await run()).toBe('4')
})
