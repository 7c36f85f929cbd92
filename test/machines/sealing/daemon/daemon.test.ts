/** The daemon in this process: a sector from end to end, and what does not hold it up. */
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { parseWorkerConfig } from '../../../../machines/sealing/daemon/config.ts'
import {
  Daemon,
  parsePlace,
  type ShownThread,
  WorkerClient,
} from '../../../../machines/sealing/daemon/index.ts'
import { ThreadDesk } from '../../../../machines/sealing/daemon/thread-desk.ts'
import { openLog, TroupeError } from '../../../../src/index.ts'
import { until } from '../../../waiting.ts'
import { FakeManager } from './fake-manager.ts'
import { sealingApps } from './sealing-apps.ts'

const DEPS = { apps: sealingApps, log: openLog({ level: 'silent' }) }
const PATIENCE = { timeoutMs: 60_000, every: 50 }
let directory: string
let manager: FakeManager
let daemon: Daemon | undefined

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-daemon-'))
  mkdirSync(join(directory, 'long'))
  manager = await FakeManager.start()
})

afterEach(async () => {
  vi.restoreAllMocks()
  await daemon?.stop()
  daemon = undefined
  await manager.stop()
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
})

function toml(stores: readonly string[], more = ''): string {
  const threads = stores.map(
    (store) => `[[sealing_thread]]\nlocation = "${join(directory, store)}"\nname = "${store}"\n`,
  )
  return `
[worker]
name = "w1"
rpc_server.port = 0
ping_interval = "1s"
[sector_manager]
rpc_client.addr = "${manager.url}"
[sealing]
seal_interval = "100ms"
recover_interval = "100ms"
rpc_polling_interval = "100ms"
[[attached]]
name = "long"
location = "${join(directory, 'long')}"
[processors.limitation.concurrent]
pc1 = 1
[troupe]
data = "${join(directory, 'data')}"
${more}
${threads.join('')}`
}

async function begin(text: string): Promise<WorkerClient> {
  const config = parseWorkerConfig(text, join(directory, 'worker.toml'))
  daemon = await Daemon.of(config, { ...DEPS, lookMs: 100 })
  await daemon.start()
  return new WorkerClient(parsePlace(daemon.rpcPlace() ?? '', 0))
}

async function restart(text: string): Promise<WorkerClient> {
  await daemon?.stop()
  return begin(text)
}

async function threadsOf(client: WorkerClient): Promise<ShownThread[]> {
  return client.call('WorkerThreads')
}

function conditionOf(client: WorkerClient, index: number): Promise<string | undefined> {
  return threadsOf(client).then((threads) => threads[index]?.condition)
}

it('seals sectors, is heard by the manager, and tells what became of them', async () => {
  manager.sectors = 2
  const client = await begin(toml(['a', 'b']))
  const seen = () => JSON.stringify(manager.calls.map(({ method }) => method))
  await until(() => manager.count('ReportFinalized') === 2, PATIENCE, seen)
  expect(existsSync(join(directory, 'long', 'sealed', 's-t01000-1'))).toBe(true)
  await until(
    async () => (await client.call('WorkerHistory', 's-t01000-1'))?.chapters.length === 1,
    PATIENCE,
    'the history of the first sector',
  )
  const story = await client.call('WorkerHistory', 's-t01000-1')
  expect(story?.chapters[0]).toMatchObject({ plan: 'sealer', worker: 'w1', end: 'Finished' })
  expect(await client.call('WorkerHistory', 's-t01000-9')).toBeNull()
  const [ping] = manager.last('WorkerPing') as [{ Name: string; Dest: string; Summary: object }]
  expect(ping).toMatchObject({ Name: 'w1', Dest: daemon?.rpcPlace(), Summary: { Threads: 2 } })
})

it('pauses and resumes by the old interface, and remembers over a restart', async () => {
  const text = toml(['a', 'b'])
  let client = await begin(text)
  expect(await client.call('WorkerPause', 1)).toBe(true)
  await until(async () => (await conditionOf(client, 1)) === 'paused', PATIENCE, 'a pause')
  const rows = await client.call('WorkerList')
  expect(rows[1]).toMatchObject({
    location: join(directory, 'b'),
    index: 1,
    paused: true,
    paused_elapsed: expect.any(Number),
    state: 'Empty',
    sector_id: null,
    last_error: null,
    plan: 'sealer',
    thread_state: { state: 'Paused' },
  })
  await expect(client.call('WorkerPause', 9)).rejects.toMatchObject({
    message: 'worker #9 not found',
  })
  client = await restart(text)
  expect(await conditionOf(client, 1)).toBe('paused')
  expect(await client.call('WorkerResume', 0, null)).toBe(false)
  const control = { action: 'resume', index: 1, by: 'tests' } as const
  expect(await client.call('WorkerControl', control)).toMatchObject({ ok: true })
  expect(await client.call('WorkerControl', control)).toMatchObject({ refused: 'not-paused' })
})

it('goes on without a store that cannot be opened, and opens it later', async () => {
  manager.sectors = 2
  // A file in its place.
  writeFileSync(join(directory, 'broken'), '')
  const client = await begin(toml(['broken', 'good']))
  await until(() => manager.count('ReportFinalized') >= 1, PATIENCE, 'a sector of the other')
  const health = JSON.stringify(await client.call('WorkerHealth'))
  expect(health).toContain('"store broken"')
  const [broken] = await threadsOf(client)
  expect(broken).toMatchObject({ sector: null, retries: 0, lastError: null })
  expect(broken?.why).toContain('its store')
  rmSync(join(directory, 'broken'))
  await until(() => manager.count('ReportFinalized') === 2, PATIENCE, 'a sector in the mended one')
})

it('cuts a step when it stops, which is no failure, and takes it up again', async () => {
  manager.sectors = 1
  const hanging = "process.stdout.write('pc1 processor ready\\n'); process.stdin.resume()"
  const child = `[[processors.pc1]]\nbin = "${process.execPath}"\nargs = ["-e", ${JSON.stringify(hanging)}]\n`
  const client = await begin(toml(['a'], child))
  const isAtIt = async () => {
    const [thread] = await threadsOf(client)
    return thread?.stage === 'PC1' && thread.condition === 'running'
  }
  await until(isAtIt, PATIENCE, async () => JSON.stringify(await threadsOf(client)))
  const again = await restart(toml(['a']))
  await until(() => manager.count('ReportFinalized') === 1, PATIENCE, 'the end of the sector')
  const story = await until(
    () => again.call('WorkerHistory', 's-t01000-1'),
    PATIENCE,
    'the history of the sector',
  )
  const entries = [...story.chapters, ...story.live].flatMap((one) => one.entries)
  expect(entries.filter(({ error }) => error !== undefined)).toEqual([])
})

it('takes the settings of a store over from its next sector on', async () => {
  const client = await begin(toml(['a']))
  const file = join(directory, 'a', 'config.toml')
  // Where the thread lives is away for a moment.
  const away = new TroupeError('unavailable', 'no node answers')
  const told = vi.spyOn(ThreadDesk.prototype, 'configure').mockRejectedValueOnce(away)
  writeFileSync(file, 'plan = "rebuild"\n[sealing]\nmax_retires = 1\n')
  // A mistake changes nothing; the next one counts.
  writeFileSync(file, 'plan = "rebuild"\n[sealing]\nmax_retries = 1\n')
  const plan = async () => (await threadsOf(client))[0]?.nextPlan === 'rebuild'
  await until(plan, PATIENCE, 'another plan')
  expect(told.mock.calls.length).toBeGreaterThan(1)
})

it('lets a thread end that is not configured any more, and keeps numbers', async () => {
  let client = await begin(toml(['a', 'b']))
  client = await restart(toml(['b']))
  const threads = await threadsOf(client)
  expect(threads.map(({ thread, index, isConfigured }) => [thread, index, isConfigured])).toEqual([
    ['w1~b', 0, true],
    ['w1~a', 1, false],
  ])
  await until(async () => (await conditionOf(client, 1)) === 'drained', PATIENCE, 'its end')
  client = await restart(toml(['a', 'b']))
  await until(async () => (await conditionOf(client, 0)) !== 'drained', PATIENCE, 'new sectors')
})

it('a thread under another name has the store once the one of before has ended there', async () => {
  manager.sectors = 1
  manager.answers.set('PollPreCommitState', () => ({ State: 1, Desc: 'pending' }))
  let client = await begin(toml(['a']))
  const states = async () => (await threadsOf(client)).map(({ thread, state }) => [thread, state])
  const isThere = async () => (await states())[0]?.[1] === 'PCSubmitted'
  await until(isThere, PATIENCE, async () => JSON.stringify(await states()))

  const problem = `${join(directory, 'a')} is still the store of w1~a (s-t01000-1, PCSubmitted, `
  const told = (part: string) =>
    expect.objectContaining({ part, problem: expect.stringContaining(problem) })
  const otherWorker = toml(['a']).replace('name = "w1"', 'name = "w2"')
  client = await restart(otherWorker)
  expect((await client.call('WorkerHealth'))['parts']).toContainEqual(told('thread a'))
  client = await restart(toml(['a']).replace('name = "a"', 'name = "z"'))
  expect((await client.call('WorkerHealth'))['parts']).toContainEqual(told('thread z'))
  expect(await states()).toEqual([['w1~a', 'PCSubmitted']])
  // Whom it concerns hears of it, though one is not there yet.
  await client.call('WorkerDrain', { by: 'tests' })
  await client.call('WorkerDrain', { by: 'tests', undo: true })
  manager.answers.clear()
  await until(() => manager.count('ReportFinalized') === 1, PATIENCE, 'the end of the sector')
  expect(existsSync(join(directory, 'a', 'quarantine'))).toBe(false)
  const hasNone = async () => (await threadsOf(client)).every(({ sector }) => sector === null)
  await until(hasNone, PATIENCE, 'no sector any more')
  client = await restart(otherWorker)
  expect((await states()).map(([thread]) => thread)).toEqual(['w2~a'])
})

it('is drained: it finishes, takes nothing new, and goes on with that after a restart', async () => {
  const text = toml(['a', 'b'])
  let client = await begin(text)
  await client.call('WorkerPause', 0)
  await client.call('WorkerDrain', { by: 'tests' })
  client = await restart(text)
  await daemon?.drained
  expect((await threadsOf(client)).map(({ condition }) => condition)).toEqual([
    'drained',
    'drained',
  ])
  client = await restart(text)
  await until(async () => (await conditionOf(client, 1)) !== 'drained', PATIENCE, 'new sectors')
})

it('lets operators at the node of a worker that is alone', async () => {
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port } = free.address() as AddressInfo
  await new Promise((resolve) => free.close(resolve))
  await begin(toml(['a']).replace('[troupe]', `[troupe]\nhttp = "127.0.0.1:${port}"`))
  const answer = await fetch(`http://127.0.0.1:${port}/sealing/threads`)
  expect(await answer.json()).toMatchObject({ threads: [{ thread: 'w1~a' }] })
})

it('lets no second daemon at its children', async () => {
  const text = toml(['a'])
  await begin(text)
  const config = parseWorkerConfig(text, 'worker.toml')
  const second = await Daemon.of(config, DEPS)
  await expect(second.start()).rejects.toMatchObject({ code: 'conflict' })
  await second.stop()
})

it('serves metrics where it is told to', async () => {
  const more = '[metrics]\nenable = true\nhttp_listen = "127.0.0.1:0"\n'
  await begin(toml(['a'], more))
  const place = daemon?.metricsPlace()
  const text = async () => (await fetch(`http://${place}/metrics`)).text()
  await until(
    async () => (await text()).includes('sealing_manager_calls_total{method="WorkerPing"}'),
    PATIENCE,
    text,
  )
  expect(await text()).toContain('sealing_threads{condition=')
  // The figures of this worker can be read though its threads are out of reach.
  const away = new TroupeError('unavailable', 'no node answers')
  vi.spyOn(ThreadDesk.prototype, 'rows').mockRejectedValue(away)
  expect(await text()).toContain('sealing_manager_calls_total{')
})

it('remembers the name that it had', async () => {
  const text = toml([]).replace('name = "w1"', '')
  await begin(text)
  expect(daemon?.name).toBe('127.0.0.1')
  const file = join(directory, 'data', 'worker-name')
  expect(readFileSync(file, 'utf8')).toBe('127.0.0.1\n')
  writeFileSync(file, 'other\n')
  await restart(text)
  expect(daemon?.name).toBe('other')
  // Under another one its threads would be others, in the same stores.
  writeFileSync(file, '')
  const config = parseWorkerConfig(text, 'worker.toml')
  await expect(Daemon.of(config, DEPS)).rejects.toThrow(`${file} holds no name of a worker`)
  expect(readFileSync(file, 'utf8')).toBe('')
})
