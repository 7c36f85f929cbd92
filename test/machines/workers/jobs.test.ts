import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { apps } from '../../../machines/index.ts'
import { run } from '../../cli/rig.ts'
import { until } from '../../waiting.ts'
import { WorkersRig } from './rig.ts'

const SOON = { timeoutMs: 10_000 }

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
  const file = join(rig.directory, 'witness')
  const command = `echo hello; echo 1 >'${file}'; sleep 60`
  const { out: id } = await troupe('jobs', 'submit', '--group', '2', '--', command)
  const job = id.trim()
  await until(() => readFile(file, 'utf8').then(Boolean, () => false), SOON, 'it has written')
  expect((await troupe('jobs', 'kill', job)).out).toContain('killed')
  await until(() => worker.status().running.length === 0, { timeoutMs: 10_000 }, 'its end')
  await until(
    async () => (await troupe('jobs', 'log', job, '--stdout')).out === 'hello\n',
    { timeoutMs: 20_000, every: 100 },
    'its log',
  )
})

it('a job that is killed and run again at once begins when its process group is gone', async () => {
  await rig.inner(await rig.addGroup('2'), { workerLimits: { killGraceMs: 1_000 } })
  const file = join(rig.directory, 'witness')
  const alone = `[ -e '${file}' ] && kill -0 $(cat '${file}') 2>/dev/null && exit 9`
  const deaf = `trap '' TERM; echo $$ >'${file}'; while :; do sleep 0.05; done`
  const command = `${alone}; [ -e '${file}' ] && echo alone && exit 0; ${deaf}`
  const { out: id } = await troupe('jobs', 'submit', '--group', '2', '--', command)
  const job = id.trim()
  await until(() => readFile(file, 'utf8').then(Boolean, () => false), SOON, 'the command')
  await troupe('jobs', 'kill', job)
  await troupe('jobs', 'rerun', job)
  expect(await troupe('jobs', 'result', job)).toMatchObject({ code: 0, out: 'alone\n' })
})

it('of a job that writes without end its node keeps the beginning, and says where the rest is', async () => {
  await rig.close()
  rig = await WorkersRig.create({ apps, limits: { uploadedRunBytesMax: 20_000 } })
  await rig.inner(await rig.addGroup('2'))
  const command = 'yes | head -c 600000; echo why >&2; exit 3'
  const { out: id } = await troupe('jobs', 'submit', '--group', '2', '--', command)
  const job = id.trim()
  expect((await troupe('jobs', 'status', job, '--wait')).out).toContain('600000 bytes to stdout')
  const { out, err } = await troupe('jobs', 'log', job, '--stdout')
  expect(out).toBe('y\n'.repeat(5_000))
  expect(err).toMatch(
    /cut after 10000 bytes .*on worker w2, in its data directory: worker\/attempts\/.*\/stdout/,
  )
  expect(await troupe('jobs', 'log', job, '--stderr')).toMatchObject({ out: 'why\n', err: '' })
  const download = await troupe('jobs', 'download', job)
  expect(download).toMatchObject({ out, err: expect.stringContaining('cut after 10000 bytes') })
})
