/**
 * The task `upkeep-wake`: messages that rest are told to go on. Decides: that only so many are at work at a
 * time, so that a million that were held while a switch was off neither fill the queues nor keep a new one
 * waiting; that what is held goes on, however many others fail again and again; who is first. Leaves to others:
 * which states are meant (`counters.ts`).
 */
import { z } from 'zod'
import {
  type ActorRow,
  type Client,
  nodeOf,
  type TaskAttempt,
  TroupeError,
  task,
  wait,
} from '../../../../src/index.ts'
import { HELD_FIELDS, KINDS, UPKEEP_KINDS } from './kinds.ts'

/**
 * At work, or in the queue of those that are next: enough for sixteen nodes of four each until the next look, and
 * few enough that a message which comes meanwhile does not stand behind a million others.
 */
const AT_WORK_MAX = 64
/** A few are done within that. */
const LOOK_MS = 50
/** So often what was done is told. */
const PASS_MS = 5_000
const RETRY = { attemptsMax: 10, initialMs: 500, backoffMaxMs: 30_000 }

const wakeInput = z.object({
  kind: z.enum(UPKEEP_KINDS),
  state: z.string(),
  before: z.number().nullable(),
})
type WakeInput = z.output<typeof wakeInput>

export interface Woken {
  woken: number
  /** None is left. */
  isDone: boolean
}

export const wakeTask = task<WakeInput, Woken>({
  name: 'upkeep-wake',
  queue: 'storage.upkeep-wake',
  runsOn: 'node',
  concurrency: UPKEEP_KINDS.length,
  input: wakeInput,
  retry: RETRY,
  run: wake,
})

async function wake(attempt: TaskAttempt<WakeInput>): Promise<Woken> {
  const { client, clock } = nodeOf(attempt)
  const { input, signal } = attempt
  const endsAt = clock.monotonic() + PASS_MS
  let woken = 0
  while (clock.monotonic() < endsAt) {
    signal.throwIfAborted()
    const counts = await client.count({ machine: KINDS[input.kind].machine, condition: 'active' })
    let isDone = true
    for (const way of waysOf(input)) {
      const atWork = counts.filter(({ state }) => way.states.includes(state))
      const room = AT_WORK_MAX - atWork.reduce((sum, { count }) => sum + count, 0)
      const rows = room > 0 ? await next(client, input, way.sort, room) : undefined
      if (rows?.length !== 0) isDone = false
      const told = (rows ?? []).map(({ address }) => goOn(client, address, input.state))
      woken += (await Promise.all(told)).filter(Boolean).length
    }
    if (isDone) return { woken, isDone }
    await wait({ clock, signal }, LOOK_MS)
  }
  return { woken, isDone: false }
}

/** Messages with one queue before them. */
interface Way {
  /** Where they are at work, or next. */
  states: readonly string[]
  sort: { by: string; descending?: boolean }
}

/** Of what is held the worst, or the oldest; of the rest who has waited longest. */
function waysOf({ kind, state }: WakeInput): Way[] {
  const { working, retrying } = KINDS[kind]
  if (state !== 'held') return [{ states: [...working, ...retrying], sort: { by: 'since' } }]
  const descending = kind === 'shard_repair'
  return [
    { states: working, sort: { by: HELD_FIELDS.first, descending } },
    { states: retrying, sort: { by: HELD_FIELDS.again, descending } },
  ]
}

async function next(
  client: Client,
  { kind, state, before }: WakeInput,
  sort: Way['sort'],
  limit: number,
): Promise<ActorRow[]> {
  const filter = { machine: KINDS[kind].machine, state, condition: 'active' } as const
  const { rows } = await client.list({ filter, sort, limit })
  return before === null ? rows : rows.filter(({ since }) => since < before)
}

/** @returns false where it went on by itself */
async function goOn(client: Client, address: string, state: string): Promise<boolean> {
  try {
    await client.send(address, { type: 'RETRY' }, { when: { state } })
    return true
  } catch (thrown) {
    if (thrown instanceof TroupeError && GOES_BY.has(thrown.code)) return false
    throw thrown
  }
}

const GOES_BY: ReadonlySet<string> = new Set(['unknown-actor', 'finished', 'conflict'])
