/**
 * Puts an engine on the transport: commands, messages of other shards, queries. Decides: that one
 * request is answered by one reply, when everything in it has its outcome, that workers which have
 * no node in between are heard on subjects of their own, where they can do nothing but speak of tasks, and
 * that what is handed over within the process meets the same checks.
 */
import type { Subscription, Transport } from '../ports/index.ts'
import {
  type Command,
  checkCommand,
  checkRelay,
  errorRecord,
  isNodeName,
  type Limits,
  messageOfThrown,
  type Outcome,
  pack,
  type ShardQuery,
  type Subjects,
  TroupeError,
  taskOperationOf,
  toErrorRecord,
  unpack,
  whyUnpackable,
  workerOfWork,
} from '../protocol/index.ts'
import type { ShardEngine } from './engine.ts'
import type { ShardsHere } from './shards-here.ts'

export interface ShardServer {
  stop(): void
}

export interface ServeOptions {
  /** Workers may be anywhere, and speak for themselves. Where they cannot, nobody listens for them. */
  hearsWorkers?: boolean
  /** Clients within the process find it there. */
  here?: ShardsHere
}

/** Two may answer while a shard changes hands: the one that lost it commits nothing, and says so. */
const SOLE = { sole: true }

export function serveShard(
  engine: ShardEngine,
  transport: Transport,
  subjects: Subjects,
  limits: Limits,
  { hearsWorkers = false, here }: ServeOptions = {},
): ShardServer {
  const subscriptions: Subscription[] = [
    transport.subscribe(subjects.shard(engine.shard), SOLE, ({ payload, reply }) => {
      takeCommands(engine, limits, payload, reply ?? ignore)
    }),
    transport.subscribe(subjects.relay(engine.shard), SOLE, ({ payload, reply }) => {
      const answer = reply ?? ignore
      let request: unknown
      try {
        request = unpack(payload)
      } catch (thrown) {
        return answer(pack({ error: toErrorRecord(thrown) }))
      }
      const checked = checkRelay(request, limits)
      if ('error' in checked) return answer(pack(checked))
      engine.relay(checked.request, payload.length, (outcome) => answer(pack(outcome)))
    }),
    transport.subscribe(subjects.query(engine.shard), SOLE, ({ payload, reply }) => {
      const answer = reply ?? ignore
      let query: ShardQuery
      try {
        query = unpack(payload) as ShardQuery
      } catch (thrown) {
        return answer(pack({ error: toErrorRecord(thrown) }))
      }
      engine.query(query, (outcome) => answer(packOne(outcome)))
    }),
  ]
  if (hearsWorkers) {
    const works = subjects.works(engine.shard)
    const heard = transport.subscribe(works, {}, ({ subject, payload, reply }) => {
      const worker = workerOfWork(subject)
      takeCommands(engine, limits, payload, reply ?? ignore, (command) => ofWorker(command, worker))
    })
    subscriptions.push(heard)
  }
  const leave = here?.add(engine.shard, {
    take: (commands, bytesEach, done) => {
      const checked = commands.map((command) => checkCommand(command, limits))
      submitAll(
        engine,
        limits,
        checked,
        () => bytesEach,
        (outcomes) => done(outcomes.map(detached)),
      )
    },
  })
  return {
    stop() {
      leave?.()
      for (const subscription of subscriptions) subscription.unsubscribe()
    },
  }
}

function ignore(): void {}

type Checked = ReturnType<typeof checkCommand>

/** Of its envelope counts which command it is and how long the worker waits. */
function ofWorker(command: Command, worker: string): Checked {
  const { address, id, timeoutMs } = command
  try {
    // It stands in rows and logs from now on, and NATS lets in whatever a star stands for.
    if (!isNodeName(worker)) {
      throw new TroupeError('malformed', `"${worker.slice(0, 64)}" cannot name a worker`)
    }
    const own: Command = { ...taskOperationOf(command, worker), address }
    own.author = `worker ${worker}`
    if (id !== undefined) own.id = id
    if (timeoutMs !== undefined) own.timeoutMs = timeoutMs
    return { command: own }
  } catch (thrown) {
    return { error: toErrorRecord(thrown) }
  }
}

/**
 * A request holds many commands: their outcomes leave together, in the order of the request.
 * @param admit looks at each once more
 */
function takeCommands(
  engine: ShardEngine,
  limits: Limits,
  payload: Uint8Array,
  reply: (payload: Uint8Array) => void,
  admit: (command: Command) => Checked = (command) => ({ command }),
): void {
  let commands: unknown
  try {
    commands = unpack(payload)
  } catch (thrown) {
    return reply(pack([{ error: toErrorRecord(thrown) }]))
  }
  if (!Array.isArray(commands)) {
    return reply(pack([{ error: errorRecord('malformed', 'a request is a list of commands') }]))
  }
  const admitted = (commands as unknown[]).map((candidate) => {
    const shaped = checkCommand(candidate, limits)
    return 'error' in shaped ? shaped : admit(shaped.command)
  })
  // None of them is larger than all together: most requests need not be measured.
  const measured = payload.length > limits.payloadBytesMax
  const bytesEach = Math.ceil(payload.length / commands.length)
  const bytesOf = (command: Command) => (measured ? pack(command).length : bytesEach)
  submitAll(engine, limits, admitted, bytesOf, (outcomes) => reply(packOutcomes(outcomes)))
}

/** @param done is told when all have their outcome */
function submitAll(
  engine: ShardEngine,
  limits: Limits,
  commands: readonly Checked[],
  bytesOf: (command: Command) => number,
  done: (outcomes: Outcome[]) => void,
): void {
  const outcomes: Outcome[] = new Array(commands.length)
  let missing = commands.length
  if (missing === 0) return done(outcomes)
  const settle = (index: number, outcome: Outcome) => {
    outcomes[index] = outcome
    missing -= 1
    if (missing === 0) done(outcomes)
  }
  for (const [index, checked] of commands.entries()) {
    if ('error' in checked) {
      settle(index, checked)
      continue
    }
    const bytes = bytesOf(checked.command)
    if (bytes > limits.payloadBytesMax) settle(index, { error: tooLarge(bytes, limits) })
    else engine.submit(checked.command, bytes, (outcome) => settle(index, outcome))
  }
}

/** As it would arrive over a transport: nothing in it is the shard's any more. Most answers hold no objects. */
function detached(outcome: Outcome): Outcome {
  if ('ok' in outcome && isFlat(outcome.ok)) return { ...outcome, ok: { ...outcome.ok } }
  return unpack(packOne(outcome)) as Outcome
}

function isFlat(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((field) => FLAT.has(typeof field))
}

const FLAT: ReadonlySet<string> = new Set(['string', 'number', 'boolean', 'undefined'])

/** One outcome that cannot be packed is a fault of its own: the others are true and are told. */
function packOutcomes(outcomes: readonly Outcome[]): Uint8Array {
  try {
    return pack(outcomes)
  } catch {
    return pack(outcomes.map(packable))
  }
}

function packable(outcome: Outcome): Outcome {
  const why = whyUnpackable(outcome)
  return why === undefined ? outcome : unsendable(why)
}

function packOne(outcome: Outcome): Uint8Array {
  try {
    return pack(outcome)
  } catch (thrown) {
    return pack(unsendable(messageOfThrown(thrown)))
  }
}

function unsendable(why: string): Outcome {
  return { error: errorRecord('internal', `the answer cannot be sent: ${why}`) }
}

function tooLarge(bytes: number, limits: Limits) {
  return errorRecord(
    'too-large',
    `a command of ${bytes} bytes; the limit is ${limits.payloadBytesMax} (payloadBytesMax)`,
    {
      detail: { limit: 'payloadBytesMax' },
    },
  )
}
