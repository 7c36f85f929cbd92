/** The test command itself: it never passes what it has not looked at. */
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import config from './vitest.config.ts'

const RUN = join(import.meta.dirname, 'run.ts')
const ONLY_SEED = ['--only', 'test/seed.test.ts', '--typecheck.enabled=false']

/** @returns its exit code, and the last lines that it printed */
function testCommand(env: NodeJS.ProcessEnv) {
  const args = ['--import', import.meta.resolve('tsx'), RUN, ...ONLY_SEED]
  // Otherwise vitest takes itself for one of the workers of this one.
  const { VITEST: _, VITEST_WORKER_ID: _id, VITEST_POOL_ID: _pool, ...inherited } = process.env
  const { status, stdout } = spawnSync(process.execPath, args, {
    env: { ...inherited, ...env },
    encoding: 'utf8',
  })
  return { status, lines: stdout.trimEnd().split('\n') }
}

it.each([
  [{ TROUPE_SEED: 'x' }, 'TROUPE_SEED must be an integer'],
  // tsx would keep there what it has compiled.
  [{ TMPDIR: '/dev/null/none', TSX_DISABLE_CACHE: '1' }, 'ENOTDIR'],
])('what cannot even begin has failed, and says so in the closing line: %j', (env, why) => {
  const { status, lines } = testCommand(env)
  expect(lines.at(-1)).toBe('0 passed, 1 failed')
  expect(lines.find((line) => line.startsWith('failed: '))).toContain(why)
  expect(status).toBe(1)
})

it('what a shell has left over of another run changes nothing', () => {
  const { status, lines } = testCommand({ TROUPE_TEST_BUILT: '1', TROUPE_TEST_PART: 'computing' })
  expect(lines.at(-1)).toMatch(/^[1-9]\d* passed, 0 failed$/)
  expect(status).toBe(0)
})

/** The checker of the type tests, over a tsc of which only its end is known. */
function endOf(tsc: string) {
  const { checker } = config.test?.typecheck ?? {}
  accessSync(checker!, constants.X_OK)
  const root = mkdtempSync(join(tmpdir(), 'troupe-tsc-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const bin = join(root, 'node_modules/typescript/bin')
  for (const folder of [join(root, 'test'), bin]) mkdirSync(folder, { recursive: true })
  copyFileSync(checker!, join(root, 'test/tsc.sh'))
  writeFileSync(join(bin, 'tsc'), tsc)
  const { status, stdout, stderr } = spawnSync(join(root, 'test/tsc.sh'), ['--pretty', 'a b'], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

it('a tsc that a signal ends has not passed the types', () => {
  const { status, stderr } = endOf("process.kill(process.pid, 'SIGKILL')")
  expect(status).toBe(137)
  expect(stderr).toContain('before it had judged the types')
})

it('errors of types are told as tsc tells them', () => {
  const told = "process.stdout.write(process.argv.slice(2).join('|')); process.exitCode = 2"
  expect(endOf(told)).toEqual({
    status: 2,
    stdout: '--pretty|a b',
    stderr: '',
  })
  expect(endOf('').status).toBe(0)
})
