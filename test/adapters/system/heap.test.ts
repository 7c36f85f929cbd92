/** A heap that is kept small, in processes that make much garbage of what lived for a while. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { scriptArguments } from '../../script.ts'

const run = promisify(execFile)
const SCRIPT = scriptArguments(join(import.meta.dirname, 'heap-process.ts'))
/** As the program `troupe` is started. */
const FLAGS = ['--max-semi-space-size=64']

async function heapMb(...words: string[]): Promise<number> {
  const { stdout } = await run(process.execPath, [...FLAGS, ...SCRIPT, ...words])
  return Number(stdout) / 1e6
}

it('keeps little garbage, though flags are read that were set when it ran already', async () => {
  const small = await heapMb('small')
  expect(small).toBeLessThan((await heapMb()) / 1.5)
})
