import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { apps } from '../../../machines/index.ts'
import { run } from '../../cli/rig.ts'
import { until } from '../../waiting.ts'
import { WorkersRig } from './rig.ts'

let rig: WorkersRig

beforeEach(async () => {
  rig = await WorkersRig.create({ apps })
})

afterEach(() => rig.close())

const troupe = (...words: string[]) => run(words, { apps, env: { TROUPE_HTTP: rig.url } })

it('a job of group 2 runs on a worker of that group; status, log and result are as ever', async () => {
  await rig.inner(await rig.addGroup('2'))
  const gate = join(rig.directory, 'gate')
  await writeFile(gate, '')
  const command = `echo first; echo oops >&2; while [ -e '${gate}' ]; do sleep 0.05; done; echo last`
  const { out: id } = await troupe('jobs', 'submit', '--group', '2', '--', command)
  const job = id.trim()
  await until(
    async () => (await troupe('jobs', 'log', job, '--stdout')).out === 'first\n',
    { timeoutMs: 10_000, every: 100 },
    'what it wrote so far',
  )
  expect((await troupe('jobs', 'status', job)).out).toContain('w2')
  await rm(gate)
  expect(await troupe('jobs', 'result', job)).toMatchObject({ code: 0, out: 'first\nlast\n' })
  expect((await troupe('jobs', 'log', job, '--stderr')).out).toBe('oops\n')
})

it('a job that is killed ends on its worker, and its log stays', async () => {
  const worker = await rig.inner(await rig.addGroup('2'))
  const { out: id } = await troupe('jobs', 'submit', '--group', '2', '--', 'echo hello; sleep 60')
  const job = id.trim()
  await until(() => worker.status().running.length === 1, { timeoutMs: 10_000 }, 'it runs')
  expect((await troupe('jobs', 'kill', job)).out).toContain('killed')
  await until(() => worker.status().running.length === 0, { timeoutMs: 10_000 }, 'its end')
  await until(
    async () => (await troupe('jobs', 'log', job, '--stdout')).out === 'hello\n',
    { timeoutMs: 5_000, every: 100 },
    'its log',
  )
})
