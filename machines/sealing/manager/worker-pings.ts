/**
 * The machine `sealing-worker`: a worker as its pings tell of it; its id is the worker's name. Decides:
 * that a name belongs to one worker at a time. Leaves to others: who counts as gone (whoever lists them).
 */
import { setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, formatAddress, reply } from '../../../src/index.ts'
import { workerPing } from '../venus/index.ts'

/** Of silence, after which another worker may take the name. */
const INTERVALS_OF_SILENCE = 3

const ping = z.object({ info: workerPing, at: z.number(), intervalMs: z.int().min(1) })
type Ping = z.infer<typeof ping>

const pingsContext = z.object({
  info: workerPing,
  lastPing: z.number(),
  /** Who had the name before: it is not back, it is a second one. */
  former: z.object({ dest: z.string(), instance: z.string() }).nullable(),
})
export type PingRecord = z.infer<typeof pingsContext>

export type PingAnswer = { done: true } | { refused: string }

const chart = setup({
  types: {
    context: {} as PingRecord,
    events: {} as { type: 'PING' } & Ping,
    input: {} as { info: PingRecord['info']; at: number },
  },
  actions: { answer: reply((_, { answer }: { answer: PingAnswer }) => answer) },
})

const heard = chart.enqueueActions(({ context, event, enqueue }) => {
  const refused = collisionOf(context, event)
  enqueue({
    type: 'answer',
    params: { answer: refused === null ? { done: true } : { refused } },
  })
  if (refused !== null) return
  const { info } = context
  const isOther = instanceOf(info) !== instanceOf(event.info) || info.Dest !== event.info.Dest
  const former = { dest: info.Dest, instance: instanceOf(info) }
  enqueue.assign({
    info: event.info,
    lastPing: event.at,
    former: isOther ? former : context.former,
  })
})

export const workerPings = defineMachine({
  machine: chart.createMachine({
    id: 'sealing-worker',
    context: ({ input }) => ({ info: input.info, lastPing: input.at, former: null }),
    initial: 'known',
    states: { known: { on: { PING: { actions: heard } } } },
  }),
  input: z.object({ info: workerPing, at: z.number() }),
  context: pingsContext,
  events: { PING: ping },
  // A list of hundreds costs no more than its rows.
  index: pingFields,
  retention: { historyCount: 5 },
})

/** What a list shows of a worker, and its details as well. */
export function pingFields({ info, lastPing }: PingRecord) {
  const { Dest, Version, Summary } = info
  return {
    dest: Dest,
    version: Version ?? '',
    lastPing,
    threads: Summary.Threads,
    empty: Summary.Empty,
    paused: Summary.Paused,
    running: Summary.Running ?? null,
    waiting: Summary.Waiting ?? null,
    errors: Summary.Errors,
  }
}

export function workerAddress(name: string): string {
  return formatAddress('sealing-worker', name)
}

function collisionOf({ info, lastPing, former }: PingRecord, event: Ping): string | null {
  const silentMs = event.at - lastPing
  const { Name, Dest } = event.info
  const instance = instanceOf(event.info)
  const patienceMs = event.intervalMs * INTERVALS_OF_SILENCE
  if (silentMs >= patienceMs) return null
  const isSame = info.Dest === Dest
  // A restart has another instance at the same place; the one before does not come back.
  const isFormer = instance !== '' && former?.instance === instance && former.dest === Dest
  if (isSame && !isFormer) return null
  const heardS = Math.max(0, Math.round(silentMs / 1_000))
  return `the worker name ${Name} belongs to ${info.Dest}, which was heard ${heardS} s ago: give this one (${Dest}) another name, or wait for ${patienceMs / 1_000} s of silence of the other`
}

function instanceOf(info: PingRecord['info']): string {
  return info.Instance ?? ''
}
