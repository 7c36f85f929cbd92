import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { holds, until } from '../../waiting.ts'
import { WorkersRig } from './rig.ts'

let rig: WorkersRig
let witness: string

beforeEach(async () => {
  rig = await WorkersRig.create()
  witness = join(rig.directory, 'witness')
})

afterEach(() => rig.close())

const G2 = ['--group', '2', '--name', 'w2']

function wrote(text: string): Promise<unknown> {
  return until(
    async () => (await readFile(witness, 'utf8')).includes(text),
    { timeoutMs: 15_000 },
    async () => `"${text}" in ${await readFile(witness, 'utf8').catch(() => 'no file')}`,
  )
}

/** A command that says when it begins and ends, and ends with `code` once the gate is opened. */
async function gated(id: string, code = 0): Promise<() => Promise<void>> {
  const gate = join(rig.directory, `gate-${id}`)
  await writeFile(gate, '')
  const wait = `while [ -e '${gate}' ]; do sleep 0.05; done`
  const shell = `echo began >>'${witness}'; ${wait}; echo ended >>'${witness}'; exit ${code}`
  await rig.run(id, shell, 'job.group.2')
  return () => rm(gate)
}

it('runs what waits for its group, and nothing that waits for another', async () => {
  const key = await rig.addGroup('2')
  await rig.run('two', `echo ran >>'${witness}'; exit 3`, 'job.group.2')
  await rig.run('three', 'true', 'job.group.3')
  await rig.worker('a', G2, key)
  expect(await rig.exitCodeOf('two')).toBe(3)
  expect(await readFile(witness, 'utf8')).toBe('ran\n')
  await holds(
    async () => (await rig.node.client.get('run/three')).tasks[0]?.state === 'queued',
    { forMs: 300 },
    'a task of another group waits',
  )
  expect(await rig.workerView('w2')).toMatchObject({ status: 'online', group: '2', slots: 8 })
})

it('a command outlives kill -9 of its worker: the next start attaches to it, and it runs once', async () => {
  const key = await rig.addGroup('2')
  const open = await gated('a')
  const first = await rig.worker('a', G2, key)
  await wrote('began')
  await first.signal('SIGKILL')
  await rig.worker('a', G2, key)
  await open()
  expect(await rig.exitCodeOf('a')).toBe(0)
  expect(await readFile(witness, 'utf8')).toBe('began\nended\n')
})

it('SIGTERM: nothing new, and the end once what runs has ended', async () => {
  const key = await rig.addGroup('2')
  const open = await gated('a')
  const worker = await rig.worker('a', G2, key)
  await wrote('began')
  const ended = worker.signal('SIGTERM')
  await until(
    async () => (await rig.workerView('w2'))?.refusals.includes('it is stopping'),
    { timeoutMs: 20_000 },
    'the list to show it',
  )
  await rig.run('b', 'true', 'job.group.2')
  await open()
  expect(await ended).toBe(0)
  expect(await readFile(witness, 'utf8')).toBe('began\nended\n')
  expect(await rig.exitCodeOf('a')).toBe(0)
  expect((await rig.node.client.get('run/b')).tasks[0]?.state).toBe('queued')
  expect(await rig.workerView('w2')).toMatchObject({ status: 'stopped' })
})

it('--hand-over: SIGTERM leaves what runs to itself, for the next start', async () => {
  const key = await rig.addGroup('2')
  const open = await gated('a')
  const first = await rig.worker('a', [...G2, '--hand-over'], key)
  await wrote('began')
  expect(await first.signal('SIGTERM')).toBe(0)
  expect(await readFile(witness, 'utf8')).toBe('began\n')
  await rig.worker('a', G2, key)
  await open()
  expect(await rig.exitCodeOf('a')).toBe(0)
  expect(await readFile(witness, 'utf8')).toBe('began\nended\n')
})

it('one worker per directory; a new version takes over what runs', async () => {
  const key = await rig.addGroup('2')
  const open = await gated('a')
  const first = await rig.worker('a', G2, key)
  await wrote('began')
  const refused = rig.spawn('a', G2, key)
  expect(await refused.ended).toBe(5)
  expect(refused.output()).toContain(`is used by the worker with pid ${first.process.pid}`)
  await rig.worker('a', [...G2, '--take-over'], key)
  expect(await first.ended).toBe(0)
  expect(await readFile(witness, 'utf8')).toBe('began\n')
  const [task] = (await rig.node.client.get('run/a')).tasks
  expect(task).toMatchObject({ state: 'running', attempt: 1 })
  await open()
  expect(await rig.exitCodeOf('a')).toBe(0)
  expect(await readFile(witness, 'utf8')).toBe('began\nended\n')
}, 60_000)

it('a worker outlives its node: what runs goes on, and what comes later is taken', async () => {
  const key = await rig.addGroup('2')
  const open = await gated('a', 7)
  await rig.worker('a', G2, key)
  await wrote('began')
  await rig.stop()
  await rig.start()
  await rig.run('b', 'exit 8', 'job.group.2')
  expect(await rig.exitCodeOf('b')).toBe(8)
  await open()
  expect(await rig.exitCodeOf('a')).toBe(7)
  expect(await readFile(witness, 'utf8')).toBe('began\nended\n')
})

it('what is no longer wanted is ended at once', async () => {
  const key = await rig.addGroup('2')
  await rig.run(
    'a',
    `trap 'echo ended >>"${witness}"; exit' TERM; echo began >>'${witness}'; sleep 60 & wait`,
    'job.group.2',
  )
  await rig.worker('a', G2, key)
  await wrote('began')
  await rig.node.client.send('run/a', { type: 'KILL' })
  await wrote('ended')
})
