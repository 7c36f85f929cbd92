/** The verbs against workers of another make: rows of v0.2 or of today, and none of our own calls. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { run } from '../../../cli/rig.ts'
import { sealingApps } from '../daemon/sealing-apps.ts'

const OLD_ROWS = [
  {
    ...{ location: '/store1', sector_id: { Miner: 10_000, Number: 2 }, index: 0 },
    ...{
      paused: true,
      paused_elapsed: 822,
      state: 'C1Done',
      last_error: 'permanent: no parameters',
    },
  },
  {
    ...{ location: '/store2', sector_id: null, index: 1, paused: false, paused_elapsed: null },
    ...{ state: 'Empty', last_error: null },
  },
]
const HEAD_ROWS = [
  {
    ...{ location: '/store1', plan: 'sealer', job_id: 's-t010000-2', index: 0 },
    ...{ thread_state: { state: 'Paused', elapsed: 822 }, job_state: 'C1Done', job_stage: 'C2' },
    last_error: 'permanent: no parameters',
  },
  {
    ...{ location: '-', plan: 'wdpost', job_id: 'job-1', index: 1 },
    thread_state: { state: 'Running', elapsed: 5, proc: 'ext(pid: 77)' },
    ...{ job_state: 'Allocated', job_stage: null, last_error: null },
  },
  {
    ...{ location: '/store3', plan: 'snapup', job_id: null, index: 2 },
    ...{ thread_state: { state: 'Idle' }, job_state: '', job_stage: null, last_error: null },
  },
]

/** As those workers answer; at the path `/` only. */
class ForeignWorker {
  readonly asked: { method: string; params: unknown[] }[] = []
  readonly #server: Server

  constructor(rows: unknown) {
    this.#server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request) text += String(chunk)
      const { method, params, id } = JSON.parse(text)
      this.asked.push({ method, params })
      const results: Record<string, unknown> = {
        'VenusWorker.WorkerList': rows,
        'VenusWorker.WorkerPause': true,
        'VenusWorker.WorkerResume': false,
      }
      const isKnown = request.url === '/' && Object.hasOwn(results, method)
      const error = { code: -32_601, message: 'Method not found' }
      const answer = isKnown ? { result: results[method] } : { error }
      response.end(JSON.stringify({ jsonrpc: '2.0', ...answer, id }))
    })
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get place(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  stop(): Promise<unknown> {
    this.#server.closeAllConnections()
    return new Promise((resolve) => this.#server.close(resolve))
  }
}

const old = new ForeignWorker(OLD_ROWS)
const head = new ForeignWorker(HEAD_ROWS)
beforeAll(() => Promise.all([old.start(), head.start()]))
afterAll(() => Promise.all([old.stop(), head.stop()]))

// No node is asked for an address.
const troupe = (...words: string[]) => run(words, { apps: sealingApps })
const util = (...words: string[]) => troupe('util', 'worker', ...words)

it('shows what a worker of v0.2 tells', async () => {
  const { out, code } = await util('info', old.place)
  expect(code).toBe(0)
  expect(out.split('\n').slice(0, 4)).toEqual([
    '#   LOCATION  PLAN  JOB          STATE   STAGE  CONDITION',
    '#0  /store1   -     s-t010000-2  C1Done  -      paused 13m 42s',
    '     permanent: no parameters',
    '#1  /store2   -     -            Empty   -      -',
  ])
  // What a shell has set long ago does not lead to another worker.
  vi.stubEnv('DAMOCLES_WORKER_CONFIG', '/nowhere/worker.toml')
  const listed = await troupe('sealing', 'worker', '--host', old.place, 'list')
  vi.unstubAllEnvs()
  expect(listed.out).toBe(out)
  const json = await util('info', old.place, '--json')
  expect(JSON.parse(json.out)).toEqual(OLD_ROWS)
})

it("shows what one of today's workers tells", async () => {
  const { out } = await util('info', head.place)
  expect(out.split('\n').slice(0, 5)).toEqual([
    '#   LOCATION  PLAN    JOB          STATE      STAGE  CONDITION',
    '#0  /store1   sealer  s-t010000-2  C1Done     C2     paused 13m 42s',
    '     permanent: no parameters',
    '#1  -         wdpost  job-1        Allocated  -      running 5s, ext(pid: 77)',
    '#2  /store3   snapup  -            Empty      -      idle',
  ])
})

it('prints either in the form of v0.2', async () => {
  const { out } = await util('info', old.place, '--format', 'v0.2')
  expect(out).toBe(`\
Index  Loc      SectorID     Paused  PausedElapsed  State   LastErr
0      /store1  s-t010000-2  true    13m42s         C1Done  permanent: no parameters
1      /store2  NULL         false   NULL           Empty   NULL
`)
  const today = await util('info', head.place, '--format', 'v0.2')
  expect(today.out.split('\n').slice(1)).toEqual([
    '0      /store1  s-t010000-2  true    13m42s         C1Done     permanent: no parameters',
    '1      -        NULL         false   NULL           Allocated  NULL',
    '2      /store3  NULL         false   NULL           Empty      NULL',
    '',
  ])
})

it('pauses and resumes by the calls of old, and asks for nothing that they cannot do', async () => {
  const paused = await util('pause', head.place, '0', '--reason', 'new disks')
  expect(paused).toMatchObject({ code: 0, out: '#0: done\n' })
  expect(paused.err).toContain('keeps no reason')
  const resumed = await util('resume', old.place, '0', 'TreeDBuilt')
  expect(resumed).toMatchObject({ code: 5, err: expect.stringContaining('does not say why') })
  expect(old.asked.at(-1)).toEqual({
    method: 'VenusWorker.WorkerResume',
    params: [0, 'TreeDBuilt'],
  })
  const before = head.asked.filter(({ method }) => method.endsWith('Resume')).length
  for (const flag of ['--dry-run', '--force', '--retry']) {
    const refused = await util('resume', head.place, '0', 'Aborted', flag)
    expect(refused).toMatchObject({ code: 5, err: expect.stringContaining('of another make') })
  }
  expect(head.asked.filter(({ method }) => method.endsWith('Resume'))).toHaveLength(before)
})

it('says what such a worker cannot do', async () => {
  const drained = await troupe('sealing', 'worker', '--host', head.place, 'drain')
  expect(drained).toMatchObject({ code: 5, err: expect.stringContaining('cannot do this') })
})
