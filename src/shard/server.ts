/**
 * Puts an engine on the transport: commands, messages of other shards, queries. Decides: that one
 * request is answered by one reply, when everything in it has its outcome.
 */
import type { Subscription, Transport } from '../ports/index.ts'
import {
  checkCommand,
  errorRecord,
  type Limits,
  type Outcome,
  pack,
  type ShardQuery,
  type Subjects,
  toErrorRecord,
  unpack,
} from '../protocol/index.ts'
import type { RelayRequest } from './channels.ts'
import type { ShardEngine } from './engine.ts'

export interface ShardServer {
  stop(): void
}

export function serveShard(
  engine: ShardEngine,
  transport: Transport,
  subjects: Subjects,
  limits: Limits,
): ShardServer {
  const subscriptions: Subscription[] = [
    transport.subscribe(subjects.shard(engine.shard), {}, ({ payload, reply }) => {
      takeCommands(engine, limits, payload, reply ?? ignore)
    }),
    transport.subscribe(subjects.relay(engine.shard), {}, ({ payload, reply }) => {
      const answer = reply ?? ignore
      let request: RelayRequest
      try {
        request = unpack(payload) as RelayRequest
      } catch (thrown) {
        return answer(pack({ error: toErrorRecord(thrown) }))
      }
      engine.relay(request, payload.length, (outcome) => answer(pack(outcome)))
    }),
    transport.subscribe(subjects.query(engine.shard), {}, ({ payload, reply }) => {
      const answer = reply ?? ignore
      let query: ShardQuery
      try {
        query = unpack(payload) as ShardQuery
      } catch (thrown) {
        return answer(pack({ error: toErrorRecord(thrown) }))
      }
      engine.query(query, (outcome) => answer(pack(outcome)))
    }),
  ]
  return {
    stop() {
      for (const subscription of subscriptions) subscription.unsubscribe()
    },
  }
}

function ignore(): void {}

/** A request holds many commands: their outcomes leave together, in the order of the request. */
function takeCommands(
  engine: ShardEngine,
  limits: Limits,
  payload: Uint8Array,
  reply: (payload: Uint8Array) => void,
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
  const outcomes: Outcome[] = new Array(commands.length)
  let missing = commands.length
  if (missing === 0) return reply(pack(outcomes))
  const bytesEach = Math.ceil(payload.length / commands.length)
  const settle = (index: number, outcome: Outcome) => {
    outcomes[index] = outcome
    missing -= 1
    if (missing === 0) reply(pack(outcomes))
  }
  commands.forEach((candidate: unknown, index) => {
    const checked = checkCommand(candidate, limits)
    if ('error' in checked) settle(index, checked)
    else if (bytesEach > limits.payloadBytesMax)
      settle(index, { error: tooLarge(bytesEach, limits) })
    else engine.submit(checked.command, bytesEach, (outcome) => settle(index, outcome))
  })
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
