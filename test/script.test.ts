import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { scriptArguments } from './script.ts'

const SCRIPT = join(import.meta.dirname, 'crash/server.ts')

it('runs the source where nobody has just compiled it', () => {
  const [flag, , script] = scriptArguments(SCRIPT, {})
  expect([flag, script]).toEqual(['--import', SCRIPT])
})

it('runs what the test command has compiled', () => {
  const compiled = scriptArguments(SCRIPT, { TROUPE_TEST_BUILT: '1' })
  expect(compiled).toEqual([join(import.meta.dirname, '../dist/test/crash/server.js')])
  if (process.env['TROUPE_TEST_BUILT'] === '1') expect(existsSync(compiled[0]!)).toBe(true)
})
