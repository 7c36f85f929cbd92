/** What operators type against a daemon and a node: one worker, workers by name, threads of all. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  Daemon,
  parsePlace,
  readWorkerConfig,
  WorkerClient,
} from '../../../../machines/sealing/daemon/index.ts'
import {
  createGateway,
  createNode,
  type Gateway,
  openLog,
  type TroupeNode,
} from '../../../../src/index.ts'
import { run } from '../../../cli/rig.ts'
import { until } from '../../../waiting.ts'
import { FakeManager } from '../daemon/fake-manager.ts'
import { sealingApps } from '../daemon/sealing-apps.ts'

const PATIENCE = { timeoutMs: 60_000, every: 50 }
const TOKEN = 'a-token-of-these-tests'
let directory: string
let file: string
let tokenFile: string
let manager: FakeManager
let daemon: Daemon
let node: TroupeNode
let gateway: Gateway
let dest: string

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-fleet-'))
  file = join(directory, 'worker.toml')
  tokenFile = join(directory, 'token')
  writeFileSync(tokenFile, `${TOKEN}\n`)
  mkdirSync(join(directory, 'long'))
  manager = await FakeManager.start()
  // The first sector never lands, the second cannot.
  manager.answers.set('PollPreCommitState', ([sector]) =>
    (sector as { Number: number }).Number === 1 ? { State: 1 } : { State: 6, Desc: 'no funds' },
  )
  manager.sectors = 2
  write(0)
  const deps = { apps: sealingApps, log: openLog({ level: 'silent' }) }
  daemon = await Daemon.of(readWorkerConfig(file), deps)
  await daemon.start()
  dest = daemon.rpcPlace() ?? ''
  write(parsePlace(dest, 0).port)
  node = await createNode({ dataDirectory: join(directory, 'node'), apps: sealingApps })
  gateway = await createGateway({ node, port: 0, graceMs: 500 })
  await ping('w1', dest, 3, Date.now())
}, 60_000)

afterAll(async () => {
  await gateway.close()
  await node.stop()
  await daemon.stop()
  await manager.stop()
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
})

function write(port: number): void {
  const threads = ['a', 'b', 'c'].map(
    (name) => `[[sealing_thread]]\nlocation = "${join(directory, name)}"\nname = "${name}"\n`,
  )
  writeFileSync(
    file,
    `
[worker]
name = "w1"
rpc_server.port = ${port}
rpc_server.token_file = "${tokenFile}"
[sector_manager]
rpc_client.addr = "${manager.url}"
[sealing]
recover_interval = "200ms"
[[attached]]
name = "long"
location = "${join(directory, 'long')}"
[troupe]
data = "${join(directory, 'data')}"
${threads.join('')}`,
  )
}

async function ping(name: string, at: string, threads: number, now: number): Promise<void> {
  const Summary = { Threads: threads, Empty: 1, Paused: 0, Errors: 0 }
  const info = { Name: name, Dest: at, Version: '1.0', Summary }
  await node.client.start(`sealing-worker/${name}`, { info, at: now })
}

const troupe = (...words: string[]) => run([...words, '--http', gateway.url], { apps: sealingApps })
const worker = (...words: string[]) => troupe('sealing', 'worker', '-c', file, ...words)
const withToken = ['--worker-token-file']
const util = (...words: string[]) =>
  troupe('util', 'worker', ...words, ...(words[0] === 'list' ? [] : [...withToken, tokenFile]))

/** Nothing changes by itself there for minutes. */
const STANDING = ['resting', 'parked', 'paused']

/** The number of the thread that has the sector. */
async function holder(sector: string): Promise<number> {
  const client = new WorkerClient(parsePlace(dest, 0), { token: TOKEN })
  const found = await until(
    async () => {
      const threads = await client.call('WorkerThreads')
      const [one] = threads.filter((thread) => thread.sector === sector)
      return one?.state === 'PCSubmitted' && STANDING.includes(one.condition) ? one : undefined
    },
    PATIENCE,
    async () => JSON.stringify(await client.call('WorkerThreads')),
  )
  return found.index
}

it('lists the threads of a worker, with what is wrong below', async () => {
  await holder('s-t01000-1')
  const index = await holder('s-t01000-2')
  const { out, code } = await worker('list')
  expect(code).toBe(0)
  expect(out.split('\n')[0]).toMatch(/^# +THREAD +PLAN +SECTOR +STATE +STAGE +CONDITION +RETRIES$/)
  expect(out).toMatch(/s-t01000-1 +PCSubmitted +WaitPCLanded +resting \d+s, again in /)
  const lines = out.split('\n')
  const at = lines.findIndex((line) => line.startsWith(`#${index}`))
  expect(lines[at]).toMatch(/parked/)
  expect(lines[at + 1]).toMatch(/^ {5}permanent: .*no funds/)
})

it('prints the old form byte for byte', async () => {
  const index = await holder('s-t01000-2')
  const { out } = await worker('list', '--format', 'v0.2')
  const store = join(directory, ['a', 'b', 'c'][index] ?? '')
  expect(out).toMatch(
    new RegExp(
      `^#${index}: "${store}"; sector_id=Some\\(s-t01000-2\\), paused=true, paused_elapsed=Some\\(\\d+s\\), state=PCSubmitted, last_err=Some\\("permanent: .*no funds.*"\\)$`,
      'm',
    ),
  )
  const info = await util('info', 'w1', '--format', 'v0.2')
  expect(info.out).toMatch(/^Index {2}Loc +SectorID +Paused {2}PausedElapsed {2}State +LastErr\n/)
})

it('says why it is refused, and changes nothing in a dry run', async () => {
  const index = String(await holder('s-t01000-1'))
  const running = await worker('resume', '--index', index)
  expect(running).toMatchObject({ code: 5, err: expect.stringContaining('not-paused') })
  expect((await worker('pause', '--index', index, '--reason', 'new disks')).out).toContain('paused')
  expect((await worker('list')).out).toContain('new disks')
  const dry = await worker('resume', '--index', index, '--state', 'TreeDBuilt', '--dry-run')
  expect(dry.out).toContain('would go from PCSubmitted to TreeDBuilt')
  expect(dry.out).toContain('pc2Resubmit')
  const wrong = await worker('resume', '--index', index, '--state', 'PC1done')
  expect(wrong).toMatchObject({ code: 5, err: expect.stringContaining('PC1Done') })
  const old = await worker('resume', '--index', index, '--format', 'v0.2')
  expect(old).toMatchObject({ code: 0, err: `#${index} worker resume done=true\n` })
  const missing = await worker('pause', '--index', '9')
  expect(missing).toMatchObject({ code: 4, err: expect.stringContaining('worker #9 not found') })
})

it('finds a worker by its name, its address, or not at all', async () => {
  expect((await util('info', 'w1')).out).toContain('s-t01000-1')
  expect((await util('info', dest)).out).toContain('s-t01000-1')
  const nobody = await util('info', 'no such worker')
  expect(nobody).toMatchObject({
    code: 4,
    err: expect.stringContaining('no instance found, and unable to parse'),
  })
  const stranger = await troupe('util', 'worker', 'info', 'w1')
  expect(stranger).toMatchObject({ code: 1, err: expect.stringContaining('wants its token') })
  const paused = await util('pause', 'w1', '2', '--format', 'v0.2')
  expect(paused).toMatchObject({ code: 0, err: 'pause call done, ok = true\n' })
  const resumed = await util('resume', 'w1', '2')
  expect(resumed.code).toBe(0)
})

it('lists hundreds of workers, marks the silent, and forgets one', async () => {
  const now = Date.now()
  const names = Array.from({ length: 500 }, (_, at) => `x${at}`)
  await Promise.all(names.map((name) => ping(name, '10.0.0.1:17890', 0, now - 3_600_000)))
  const { out, err } = await util('list', '--format', 'v0.2')
  const lines = out.trimEnd().split('\n')
  expect(lines, err).toHaveLength(502)
  expect(lines[0]).toMatch(/^Name +Dest +Threads {2}Empty {2}Paused {2}Errors {2}LastPing\(with/)
  expect(lines[2]).toMatch(/^x0 +10\.0\.0\.1:17890 {3}0 +1 +0 +0 +1h0m[\d.]+s \(!\)$/)
  expect((await util('list')).out).toContain('(silent)')
  expect((await troupe('util', 'worker', 'remove', 'x7')).code).toBe(0)
  expect((await troupe('util', 'worker', 'remove', 'x7')).code).toBe(4)
})

it('lists them in no time', async () => {
  const spans: number[] = []
  for (let time = 0; time < 5; time += 1) {
    const before = process.cpuUsage()
    expect((await util('list')).out.length).toBeGreaterThan(10_000)
    const { user, system } = process.cpuUsage(before)
    spans.push((user + system) / 1_000)
  }
  // Node and command together, in ms of work: others may use this machine, too.
  expect(Math.min(...spans)).toBeLessThan(300)
})

it('shows quarantined data, and takes a word that they may go', async () => {
  const name = 's-t01000-7-1700000000000'
  const place = join(directory, 'a', 'quarantine', name)
  mkdirSync(place, { recursive: true })
  const mark = { sector: 's-t01000-7', at: 1_700_000_000_000, reason: 'by hand' }
  writeFileSync(join(place, 'quarantine.json'), JSON.stringify({ ...mark, acknowledged: false }))
  expect((await worker('quarantine')).out).toMatch(
    new RegExp(`^${name} +s-t01000-7 +\\d+d .* no +/.*\\n +by hand\\n$`, 'm'),
  )
  const missing = await worker('quarantine', '--acknowledge', 'nothing')
  expect(missing).toMatchObject({ code: 4, err: expect.stringContaining('"nothing" not found') })
  const done = await worker('quarantine', '--acknowledge', name, '--json')
  expect(JSON.parse(done.out)).toMatchObject({ quarantined: [{ name, acknowledged: true }] })
})

it('says which threads hold a drain up', async () => {
  const index = await holder('s-t01000-2')
  const drained = await worker('drain')
  expect(drained.out).toMatch(/^\d of 3 threads are drained; the daemon ends when all are\n$/)
  expect(drained.err).toMatch(
    new RegExp(`^#${index} [abc] is parked in PCSubmitted with s-t01000-2 and holds the drain up`),
  )
  expect((await worker('undrain')).code).toBe(0)
})

it('tells threads by condition among the figures of a node', async () => {
  const answer = await fetch(`${gateway.url}/metrics`)
  expect(await answer.text()).toMatch(/^sealing_threads\{.*condition="parked".*\} 0$/m)
})

it('asks many threads at a rate, wherever they live, and gives a receipt', async () => {
  await holder('s-t01000-1')
  const threads = (...words: string[]) =>
    troupe('sealing', 'threads', ...words, ...withToken, tokenFile)
  const parked = await threads('list', '--condition', 'parked', '--json')
  expect(JSON.parse(parked.out).threads).toMatchObject([{ worker: 'w1', sector: 's-t01000-2' }])
  const dry = await threads('pause', '--worker', 'w1', '--dry-run')
  expect(dry.out).toBe('would pause w1~a\nwould pause w1~b\nwould pause w1~c\n')
  const all = await threads('pause', '--worker', 'w1', '--yes', '--per-second', '50')
  expect(all).toMatchObject({ code: 0, out: 'pause: 2 done, 1 were so already\n' })
  const mistyped = await threads('pause', '--state', 'c1done', '--yes')
  expect(mistyped).toMatchObject({ code: 2, err: expect.stringContaining('C1Done') })
  const gone = await threads('resume', '--worker', 'w1', '--yes', '--at-state', 'C2')
  expect(gone).toMatchObject({ code: 1, out: expect.stringContaining('refused') })
  const sector = ['--sector', 's-t01000-1']
  const one = await threads('resume', ...sector, '--yes')
  expect(one).toMatchObject({ code: 0, out: 'resume: 1 done\n' })
})

it('names the workers whose threads it cannot list, and why', async () => {
  const server = createServer((_request, response) => {
    const error = { code: -32_601, message: 'Method not found' }
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, error }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const place = `127.0.0.1:${(server.address() as AddressInfo).port}`
  await ping('venus', place, 3, Date.now())
  await ping('far', '10.255.0.9:17890', 1, Date.now())
  try {
    const list = (...words: string[]) =>
      troupe('sealing', 'threads', 'list', ...withToken, tokenFile, ...words)
    const { code, err } = await list()
    expect(code).toBe(0)
    expect(err).toContain(`venus at ${place} is of another make`)
    expect(err).toContain('troupe util worker info venus')
    expect(err).toMatch(/far: the token would go in clear to 10\.255\.0\.9:17890/)
    expect(JSON.parse((await list('--json')).out)).toMatchObject({
      silent: [{ worker: 'far' }],
      foreign: [{ worker: 'venus', dest: place }],
    })
    const all = await troupe('sealing', 'threads', 'pause', '--worker', 'venus', '--yes')
    expect(all).toMatchObject({ code: 1, err: expect.stringMatching(/left out: venus at/) })
  } finally {
    for (const name of ['venus', 'far']) await troupe('util', 'worker', 'remove', name)
    server.close()
  }
})

it('tells the story of a sector, also of a worker that is alone', async () => {
  await holder('s-t01000-2')
  const alone = await troupe('sealing', 'history', 's-t01000-2', '-c', file)
  expect(alone.out).toContain('s-t01000-2: sealer by w1~')
  expect(alone.out).toMatch(/SubmitPC +PC2Done > PCSubmitted/)
  const nothing = await troupe('sealing', 'history', 's-t01000-2')
  expect(nothing).toMatchObject({ code: 4 })
})

it('exports what a node keeps', async () => {
  const entry = {
    at: 1,
    event: 'Allocate',
    from: 'Empty',
    to: 'Allocated',
    worker: 'w',
    thread: 't',
  }
  await node.client.start('sealing-history/s-t01000-9', {
    ...{ sector: 's-t01000-9', plan: 'sealer', worker: 'w', thread: 't', end: 'Aborted' },
    ...{ reason: 'by hand', startedAt: 1, endedAt: 5, dropped: 0 },
    entries: [{ ...entry, durationMs: 2, waitedMs: 0 }],
  })
  const listed = await troupe('sealing', 'history', '--end', 'Aborted')
  expect(listed.out).toMatch(/^s-t01000-9 +sealer +Aborted +w /m)
  const exported = await troupe('sealing', 'history', '--worker', 'w', '--csv')
  expect(exported.out).toMatch(/^sector,plan,.*\ns-t01000-9,sealer,1,Aborted,.*,Allocate,.*\n$/)
  const told = await troupe('sealing', 'history', 's-t01000-9')
  expect(told.out).toContain('Aborted at 1970-01-01T00:00:00.005Z after 0s: by hand')
})
