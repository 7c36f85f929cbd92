/** Memory of a process that moves bytes: bodies that come and go, and what is collected because of them. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { scriptArguments } from '../../../../script.ts'

const run = promisify(execFile)
const SCRIPT = scriptArguments(join(import.meta.dirname, 'kept-memory-process.ts'))

async function collections(...words: string[]): Promise<number> {
  const { stdout } = await run(process.execPath, [...SCRIPT, ...words])
  return Number(stdout)
}

it('does not collect all that lives for each few bodies', async () => {
  const often = await collections()
  expect(often).toBeGreaterThan(3)
  expect(await collections('seldom')).toBeLessThan(often / 2)
})
