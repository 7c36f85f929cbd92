import { createHash } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { WorkersRig } from './rig.ts'

const QUEUE = 'job.group.2'

interface Piece {
  text: string
  end: boolean
  offset: number
}

let rig: WorkersRig
let key: string

beforeEach(async () => {
  rig = await WorkersRig.create()
  key = await rig.addGroup('2')
})

afterEach(() => rig.close())

const read = (id: string, stream = 'stdout', offset = 0) =>
  rig.call<Piece>('GET', `/commands/${id}/${stream}?offset=${offset}`)

function reads(id: string, text: string): Promise<unknown> {
  return until(
    async () => (await read(id)).text === text,
    { timeoutMs: 10_000, every: 50 },
    async () => `"${text}" of ${id}; there is ${JSON.stringify(await read(id))}`,
  )
}

it('what a command writes elsewhere can be read on the node while it runs, and is whole at its end', async () => {
  await rig.inner(key)
  const gate = join(rig.directory, 'gate')
  await writeFile(gate, '')
  await rig.run(
    'a',
    `echo zeile ä; echo oops >&2; while [ -e '${gate}' ]; do sleep 0.05; done; echo last`,
    QUEUE,
  )
  await reads('a', 'zeile ä\n')
  expect(await read('a', 'stderr')).toMatchObject({ text: 'oops\n' })
  await rm(gate)
  expect(await rig.exitCodeOf('a')).toBe(0)
  // No wait: whoever learns of the end can read all.
  expect(await read('a')).toMatchObject({ text: 'zeile ä\nlast\n', end: true })
  expect(await read('a', 'stderr')).toMatchObject({ text: 'oops\n', end: true })
})

it('what was brought outlives the worker and its disk', async () => {
  const worker = await rig.worker('a', ['--group', '2', '--name', 'w2'], key)
  await rig.run('a', 'echo begun; sleep 60', QUEUE)
  await reads('a', 'begun\n')
  await worker.signal('SIGKILL')
  await rig.endRuns('a')
  // The shim of the command may still write its end.
  await rm(join(rig.directory, 'a'), { recursive: true, force: true, maxRetries: 5 })
  expect(await read('a')).toMatchObject({ text: 'begun\n' })
})

it('large output is whole, also when node and worker are restarted in between', async () => {
  const gate = join(rig.directory, 'gate')
  await writeFile(gate, '')
  const worker = await rig.inner(key)
  const part = 'head -c 1500000 /dev/urandom | base64 -w 0'
  const copy = join(rig.directory, 'copy')
  const shell = `(${part}; while [ -e '${gate}' ]; do sleep 0.05; done; ${part}) | tee '${copy}'`
  await rig.run('a', shell, QUEUE)
  await until(
    async () => (await read('a', 'stdout', 1_999_999)).text.length === 1,
    { timeoutMs: 10_000, every: 50 },
    'the first part',
  )
  await worker.stop()
  await rig.stop()
  await rig.start()
  await rm(gate)
  await rig.inner(key)
  expect(await rig.exitCodeOf('a')).toBe(0)
  let text = ''
  for (let end = false; !end; ) {
    const piece = await read('a', 'stdout', text.length)
    text += piece.text
    end = piece.end
  }
  expect(hashOf(text)).toBe(hashOf(await readFile(copy, 'utf8')))
  expect(text).toHaveLength(4_000_000)
})

it('a command that was killed has all that it wrote', async () => {
  await rig.inner(key)
  await rig.run('a', `trap 'echo bye; exit' TERM; echo hello; sleep 60 & wait`, QUEUE)
  await reads('a', 'hello\n')
  await rig.node.client.send('run/a', { type: 'KILL' })
  await reads('a', 'hello\nbye\n')
  const [run = ''] = await rig.attemptsOf('a')
  const uploaded = join(rig.directory, 'node', 'uploaded-runs', 'attempts', run, 'exit')
  await until(
    async () => (await readFile(uploaded, 'utf8')).includes('killed'),
    { timeoutMs: 20_000 },
    'its end to be known on the node',
  )
})

it('only the worker that runs it brings output, first with the token of the attempt', async () => {
  const worker = await rig.inner(key)
  await rig.run('a', 'echo mine; sleep 60', QUEUE)
  await reads('a', 'mine\n')
  const [{ taskId = '' } = {}] = worker.status().running
  const parts = [{ stream: 'stdout', offset: 5, bytes: Buffer.from('forged\n') }]
  const upload = { run: 'r1', address: 'run/a', taskId, token: 'guessed', startedAt: 1, parts }
  const guessed = await rig.ask('runs', { key, body: upload })
  expect(guessed.status).toBe(409)
  const [run = ''] = await rig.attemptsOf('a')
  const foreign = await rig.ask('runs', { key, body: { ...upload, run } })
  expect(foreign.status).toBe(403)
  const outside = await rig.ask('runs', { key, body: { ...upload, run: '../../a' } })
  expect(outside.status).toBe(400)
  expect(await read('a')).toMatchObject({ text: 'mine\n' })
})

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
