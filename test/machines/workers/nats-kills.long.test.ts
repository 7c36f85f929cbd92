/**
 * Two nodes, two workers and a nats-server, each in a process of its own, and one of them killed while a
 * command runs: it has one outcome.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WorkerSummary } from '../../../machines/workers/workers.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { endRuns } from '../../worker/process/runs.ts'
import { TroupeProcess } from './troupe-process.ts'

const PATIENT = { timeoutMs: 60_000, every: 50 }
/** Long enough for a node or a server to come back. */
const LOST_MS = 20_000

interface Shown {
  status: string
  context: { code: number | null }
  tasks: { state: string; worker?: string; attempt: number }[]
}

let nats: NatsServer
let directory: string
const nodes = new Map<string, { process: TroupeProcess; url: string }>()
const workers = new Map<string, TroupeProcess>()

const mark = () => join(directory, 'mark')
const gate = () => join(directory, 'gate')

async function startNode(name: string): Promise<void> {
  const config = join(directory, 'node.yaml')
  const limits = { workerLostMs: LOST_MS }
  writeFileSync(config, JSON.stringify({ limits, worker: { queues: ['own'] } }))
  const words = ['--name', name, '--config', config, '--http', '127.0.0.1:0', '--json']
  const data = ['--nats', nats.url, '--data', join(directory, name)]
  const process = new TroupeProcess(['start', ...words, ...data])
  await process.wrote('"url"')
  const [, url = ''] = /"url":"([^"]+)"/.exec(process.output) ?? []
  nodes.set(name, { process, url })
}

async function startWorker(name: string): Promise<void> {
  const words = ['--nats', nats.url, '--group', '2', '--name', name]
  const process = new TroupeProcess(['worker', ...words, '--data', join(directory, name)])
  await process.wrote('serves group 2')
  workers.set(name, process)
}

async function call<T>(path: string, body?: unknown, at = anyNode()): Promise<T> {
  const response = await fetch(`${at}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  })
  const answer = (await response.json()) as T
  if (!response.ok) throw new Error(`${response.status}: ${JSON.stringify(answer)}`)
  return answer
}

const anyNode = (): string => [...nodes.values()][0]!.url
const shown = () => call<Shown>('/troupe/v1/actors/run/1')

/** A command that goes on until the gate is opened, and leaves a mark when it begins and ends. */
async function run(onWorkerLost: string): Promise<string> {
  writeFileSync(gate(), '')
  const shell = `echo run | tee -a ${mark()}; while [ -e ${gate()} ]; do sleep 0.05; done; echo end | tee -a ${mark()}`
  await call('/troupe/v1/actors/run/1', { shell, queue: 'job.group.2', onWorkerLost })
  await until(() => existsSync(mark()), PATIENT, 'it runs')
  const { tasks } = await shown()
  return tasks[0]!.worker!
}

/** Its log as a node shows it. */
async function logAt(url: string): Promise<string> {
  const { text } = await call<{ text: string }>('/commands/1/stdout', undefined, url)
  return text
}

async function outcome(): Promise<Shown> {
  return until(
    async () => {
      const view = await shown()
      return view.status === 'done' ? view : undefined
    },
    PATIENT,
    async () => `the end; it is ${JSON.stringify(await shown().catch(String))}`,
  )
}

describe.skipIf(missingNatsServer)('with a nats-server', () => {
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'troupe-kills-'))
    nats = await startNatsServer()
    await Promise.all(['n1', 'n2'].map(startNode))
    await Promise.all(['w1', 'w2'].map(startWorker))
  }, 120_000)

  afterEach(async () => {
    const all = [...workers.values(), ...[...nodes.values()].map(({ process }) => process)]
    await Promise.all(all.map((process) => process.end('SIGKILL')))
    for (const name of workers.keys()) await endRuns(join(directory, name, 'worker', 'attempts'))
    nodes.clear()
    workers.clear()
    await nats.close()
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  })

  it('kill -9 of the worker for good: another runs it again, and one result counts', async () => {
    const victim = await run('rerun')
    await workers.get(victim)!.end('SIGKILL')
    const marks = () => readFileSync(mark(), 'utf8')
    await until(
      () => marks() === 'run\nrun\n',
      PATIENT,
      () => `a second attempt: ${marks()}`,
    )
    rmSync(gate())
    expect((await outcome()).context.code).toBe(0)
    // What the dead one had brought is there, on every node, beside the second attempt.
    for (const { url } of nodes.values()) expect(await logAt(url)).toBe('run\nend\n')
    const history = await call<{ to: unknown }[]>('/troupe/v1/actors/run/1/history')
    expect(history.filter(({ to }) => to === 'done')).toHaveLength(1)
    const isLost = async () => {
      const { workers: all } = await call<{ workers: WorkerSummary[] }>('/workers')
      return all.find(({ name }) => name === victim)?.status === 'lost'
    }
    await until(isLost, PATIENT, 'it is shown as lost')
  }, 180_000)

  it('kill -9 of the nats-server, and the command ends meanwhile', async () => {
    await run('park')
    await nats.kill()
    rmSync(gate())
    await until(() => readFileSync(mark(), 'utf8') === 'run\nend\n', PATIENT, 'it has ended')
    await nats.start()
    const { context } = await outcome()
    expect(context.code).toBe(0)
    expect(readFileSync(mark(), 'utf8')).toBe('run\nend\n')
    for (const { url } of nodes.values()) expect(await logAt(url)).toBe('run\nend\n')
  }, 180_000)

  it.each(['n1', 'n2'])(
    'kill -9 of the node %s, be it the owner or who hears the worker',
    async (name) => {
      await run('park')
      await nodes.get(name)!.process.end('SIGKILL')
      nodes.delete(name)
      rmSync(gate())
      const { context } = await outcome()
      expect(context.code).toBe(0)
      expect(readFileSync(mark(), 'utf8')).toBe('run\nend\n')
      await until(async () => (await logAt(anyNode())) === 'run\nend\n', PATIENT, 'all of its log')
    },
    180_000,
  )
})
