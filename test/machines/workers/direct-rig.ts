/**
 * A cluster in this process and workers that take from its queues themselves: on the memory twins of
 * transport and queue, by the clock of this machine. The nodes' own workers serve no group.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { workers } from '../../../machines/workers/index.ts'
import type { WorkerSummary } from '../../../machines/workers/workers.ts'
import {
  type AppRequest,
  LogStore,
  type RunFiles,
  type WorkerOptions,
  type WorkerProcess,
} from '../../../src/index.ts'
import { DirectAccess } from '../../../src/node/worker-over-nats.ts'
import { startWorker } from '../../../src/node/worker-process.ts'
import type { Transport, TransportOutcome } from '../../../src/ports/index.ts'
import { pack, subjectsOf, unpack } from '../../../src/protocol/index.ts'
import { ClusterRig, type RigNode } from '../../node/cluster-rig.ts'
import { until } from '../../waiting.ts'
import { commands } from './commands.ts'

const CLUSTER = 'troupe'
export const SOON = { timeoutMs: 20_000, every: 20 }
export const OWN = { worker: { queues: ['own'] } }

export class DirectRig extends ClusterRig {
  readonly subjects = subjectsOf(CLUSTER)
  readonly #workers: WorkerProcess[] = []

  static async create(...names: string[]): Promise<DirectRig> {
    const rig = new DirectRig([commands, workers])
    await Promise.all(names.map((name) => rig.start(name, OWN)))
    await rig.settled()
    return rig
  }

  /** @param transport its way to the nodes */
  async worker(
    name: string,
    given: Partial<WorkerOptions> = {},
    transport: Pick<Transport, 'request' | 'subscribe'> = this.transport,
  ): Promise<WorkerProcess> {
    const dataDirectory = join(this.directory, `worker-${name}`)
    mkdirSync(dataDirectory, { recursive: true })
    const options = { group: '2', name, slots: 2, apps: this.apps, dataDirectory, ...given }
    const { taskQueue } = this
    const worker = await startWorker(options, async (tools) => {
      const place = { target: 'here', cluster: CLUSTER, group: options.group, worker: name }
      return new DirectAccess({ ...tools, ...place, transport, taskQueue, close: async () => {} })
    })
    this.#workers.push(worker)
    return worker
  }

  /** As an operator asks one of the nodes. */
  async call<T>(at: RigNode, method: 'GET' | 'POST', path: string): Promise<T> {
    const [, , name = '', verb = ''] = path.split('/')
    const wanted = `/workers${name && '/:name'}${verb && `/${verb}`}`
    const { app, context } = at.node.apps.find((one) => one.app === workers)!
    const routes = app.routes?.(context) ?? []
    const route = routes.find((one) => one.method === method && one.path === wanted)
    const request = { params: { name }, author: 'ann' } as unknown as AppRequest
    return (await route!.handle(request)).body as T
  }

  async viewAt(at: RigNode, name: string): Promise<WorkerSummary | undefined> {
    const { workers: all } = await this.call<{ workers: WorkerSummary[] }>(at, 'GET', '/workers')
    return all.find((one) => one.name === name)
  }

  async run(id: string, shell: string): Promise<void> {
    const input = { shell, queue: 'job.group.2', onWorkerLost: 'park' }
    await this.up[0]!.node.client.start(`run/${id}`, input)
  }

  async codeOf(id: string): Promise<unknown> {
    const isDone = ({ status }: { status: string }) => status === 'done'
    const { client } = this.up[0]!.node
    const view = await client.waitFor(`run/${id}`, isDone, { timeoutMs: 20_000 })
    return (view.context as { code: unknown }).code
  }

  /** What a worker might say, made by hand. */
  ask(subject: string, body: unknown): Promise<unknown> {
    const request = { subject, payload: pack(body), timeoutMs: 5_000 }
    return new Promise((resolve) =>
      this.transport.request(request, (outcome: TransportOutcome) =>
        resolve(outcome.kind === 'reply' ? unpack(outcome.payload) : outcome.kind),
      ),
    )
  }

  /** As the queue gives it to whoever may take from it. */
  async ticketOf(taskId: string): Promise<string> {
    const tickets = new Map<string, string>()
    const slots = { queue: 'job.group.2', slots: 8 }
    const consumer = this.taskQueue.consume(slots, ({ message }) =>
      tickets.set(message.taskId, message.ticket),
    )
    const ticket = await until(() => tickets.get(taskId), SOON, 'the message of the task')
    consumer.stop()
    return ticket
  }

  shows(at: RigNode, name: string, wanted: Record<string, unknown>): Promise<unknown> {
    return until(
      async () => {
        expect(await this.viewAt(at, name)).toMatchObject(wanted)
        return true
      },
      SOON,
      async () => `${name} at ${at.name}: ${JSON.stringify(await this.viewAt(at, name))}`,
    )
  }

  async stateOf(id: string): Promise<string> {
    const { tasks } = await this.up[0]!.node.client.get(`run/${id}`)
    return tasks[0]?.state ?? 'none'
  }

  /** A command that writes a word and then runs until it is told to end, and writes another. */
  async runUntilRemoved(id: string): Promise<() => void> {
    const file = join(this.directory, `go-${id}`)
    writeFileSync(file, '')
    await this.run(id, `echo begun; while [ -e '${file}' ]; do sleep 0.05; done; echo ended`)
    await until(async () => (await this.stateOf(id)) === 'running', SOON, `${id} runs`)
    return () => rmSync(file)
  }

  runsAt({ node }: RigNode): RunFiles {
    return node.apps[0]!.context.runs
  }

  /** What the newest run of an actor wrote, as a node shows it. */
  async output(at: RigNode, address: string): Promise<string> {
    const directory = await this.runsAt(at).latest(address)
    if (directory === undefined) return ''
    const { clock, log } = at.node
    const { text } = await new LogStore({ clock, log }).of(directory).read({ stream: 'stdout' })
    return text
  }

  async stopWorkers(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.stop()))
  }

  override async close(): Promise<void> {
    await this.stopWorkers()
    await super.close()
  }
}
