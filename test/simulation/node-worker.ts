/**
 * What a node of a simulated world runs itself (`runsOn: 'node'`): the production worker on the ports of one life
 * of the node, and the client that its tasks have.
 *
 * Decides: that it is cut off, freezes and dies with the node; and that its reads are told of, so that a checker
 * does not look for them in the journal. Leaves to others: the code of the tasks.
 */
import { join } from 'node:path'
import { Client } from '../../src/client/index.ts'
import type { AnyTask, TaskAttempt } from '../../src/machine/index.ts'
import type { Random, TaskConsumer, Transport } from '../../src/ports/index.ts'
import { type Subjects, unpack } from '../../src/protocol/index.ts'
import { Worker } from '../../src/worker/index.ts'
import type { Recorder } from './events.ts'
import type { Life, SimNode, Surroundings } from './node.ts'
import { SILENT, TellingClient, watched } from './production-worker.ts'

/** As many as a node has (src/node/hosted-node.ts). */
const SLOTS = 16
/** As nodes of a cluster have it, in the measure of a world in which minutes are short. */
const ANSWER_MS = 500
const LIMITS = { requestMs: 10_000, retryMaxMs: 1_000, abortWaitMs: 3_000 }

export type ClientPorts = ConstructorParameters<typeof Client>[0]

export interface NodeWorkerOptions {
  tasks: readonly AnyTask[]
  /** Of all workers of the world. */
  directory: string
  ports: ClientPorts
  /** What the app of its tasks is configured with. */
  config: object
}

export function startNodeWorker(
  node: SimNode,
  life: Life,
  { tasks, directory, ports, config }: NodeWorkerOptions,
): { crash(): void } {
  const { recorder } = node.around
  const name = `${node.name}.node`
  const consumers = new Set<TaskConsumer>()
  const { process: clock, transport } = life
  const { subjects, random, limits } = ports
  const worker = new Worker({
    ...{ name, transport, subjects, clock, random, limits, slots: SLOTS, log: SILENT },
    directory: join(directory, node.name),
    queues: [...new Set(tasks.map(({ queue }) => String(queue)))],
    tasks: new Map(tasks.map((task) => [task.name, telling(task, name, recorder)])),
    client: new TellingClient(ports, recorder, name),
    taskQueue: watched(life.taskQueue, consumers),
    configOf: () => config,
    node: { client: new Client(ports, name), clock, limits, machines: new Map() },
    workerLimits: LIMITS,
  })
  void worker.start()
  return {
    crash: () => {
      for (const consumer of consumers) consumer.stop()
    },
  }
}

function telling(task: AnyTask, worker: string, recorder: Recorder): AnyTask {
  return {
    ...task,
    run: (attempt: TaskAttempt<unknown>) => {
      const { taskId, attempt: number, token } = attempt
      recorder.add({ kind: 'task-began', worker, taskId, attempt: number, token })
      return task.run(attempt)
    },
  }
}

export function clientPorts(
  around: Pick<Surroundings, 'subjects' | 'recorder' | 'parameters'>,
  { transport, process: clock }: Pick<Life, 'transport' | 'process'>,
  random: Random,
): ClientPorts {
  const { subjects, recorder, parameters } = around
  const { limits, shards: shardCount } = parameters
  const answerMs = ANSWER_MS
  const told = tellingReads(transport, subjects, shardCount, recorder)
  return { transport: told, subjects, clock, random, limits, shardCount, answerMs }
}

function tellingReads(
  transport: Transport,
  subjects: Subjects,
  shards: number,
  recorder: Recorder,
): Pick<Transport, 'request' | 'subscribe'> {
  const known = new Set(Array.from({ length: shards }, (_, shard) => subjects.shard(shard)))
  const told = new Set<string>()
  return {
    subscribe: (...all) => transport.subscribe(...all),
    request: (request, done) => {
      const commands = known.has(request.subject) ? unpack(request.payload) : []
      for (const { op, id, address } of commands as Record<'op' | 'id' | 'address', string>[]) {
        if (op !== 'get' || told.has(id)) continue
        told.add(id)
        recorder.add({ kind: 'read-began', id, address })
      }
      transport.request(request, done)
    },
  }
}
