/**
 * Remembered replies (P3). Decides: for how long a command id is known, and what is said of one that
 * is too old to know. Rows lie in the order of the time in their ids, so that no second index is needed to forget them.
 */
import {
  type ActorStatus,
  type Command,
  type ErrorRecord,
  errorRecord,
  issuedAtOf,
  type Limits,
  pack,
  type StateValue,
  type TurnView,
  toErrorRecord,
  unpack,
} from '../protocol/index.ts'
import { type Answer, type Batch, ROW_BYTES } from './batch.ts'
import type { ShardContext } from './context.ts'
import type { Heads } from './heads.ts'
import {
  DEDUPE_STEP_MS,
  dedupeKey,
  dedupeRangeBefore,
  issuedAtOfDedupeKey,
  TABLE,
  TIME_MAX_MS,
  tableRange,
} from './keys.ts'
import type { Head } from './records.ts'

/**
 * Rows removed with each batch, and twice as many as it remembers: eviction keeps up with any load, and what a
 * burst has left does not make the batches slow that come ten minutes later. A thousand rows that lie together
 * free pages by the dozen, and LMDB sorts each of them into its list of free pages.
 */
const EVICTED_PER_BATCH = 100

/**
 * While more is left, an idle shard goes on after so long: such a batch costs it about a millisecond, and what a
 * burst of a million ids has left is gone in half an hour. The window itself moves on only once a minute.
 */
const EVICTION_PAUSE_MS = 200

/** Of a command that is new: under which names its reply is found, in the batch and in the store. */
interface Unanswered {
  known?: never
  name: string
  key: Uint8Array
  issuedAt: number
  op: Command['op']
}

export class Dedupe {
  readonly #shard: ShardContext
  /** Ids issued before this are forgotten. Stored with the shard, and never goes back. */
  floor: number
  /** When the newest of the ids in the store was issued, once it was looked for; and of the batch since. */
  #newest: number | undefined
  #newestOfBatch = 0
  /** Of that batch. One that writes nothing leaves its slot to the next, and has remembered nothing. */
  #slot: number | undefined

  constructor(shard: ShardContext, floor: number) {
    this.#shard = shard
    this.floor = floor
  }

  /** The reply of an earlier copy or a refusal; or where the reply is to be remembered: apply it. */
  check(batch: Batch, command: Command & { id: string }): { known: Answer } | Unanswered {
    const { shard, limits, store, clock, heads } = this.#shard
    let issuedAt: number
    try {
      issuedAt = issuedAtOf(command.id)
    } catch (thrown) {
      return { known: { error: toErrorRecord(thrown) } }
    }
    const name = `${command.address}\0${command.id}`
    const known = batch.answers.get(name)
    if (known) return { known }
    // The caller reads the same wall clock, also while that stands ahead of the shard's time.
    const aheadMs = issuedAt - Math.max(batch.now, clock.now())
    const isAhead = aheadMs > limits.clockSkewMaxMs
    // A time that is far enough ahead does not even fit a key.
    if (isAhead && issuedAt > TIME_MAX_MS)
      return { known: { error: tooNew(command, aheadMs, limits) } }
    const key = dedupeKey(shard, issuedAt, command.address, command.id)
    const row = issuedAt <= this.#newestBefore(batch) ? store.get(key) : undefined
    if (row) return { known: decodeAnswer(row, command.address, heads) }
    // Asked last: what was taken before the clock was set back is known all the same.
    if (isAhead) return { known: { error: tooNew(command, aheadMs, limits) } }
    if (issuedAt < this.floor) return { known: { error: expired(command, limits.dedupeWindowMs) } }
    return { name, key, issuedAt, op: command.op }
  }

  /** No id in the store is newer: most commands come with one that is, so that nothing is looked for. */
  #newestBefore(batch: Batch): number {
    this.#newest ??= this.#newestStored()
    if (this.#slot !== batch.slot) {
      // What the batch before has remembered is in the store by now.
      this.#newest = Math.max(this.#newest, this.#newestOfBatch)
      this.#slot = batch.slot
    }
    return this.#newest
  }

  #newestStored(): number {
    const { shard, store } = this.#shard
    const range = { ...tableRange(shard, TABLE.dedupe), reverse: true, limit: 1 }
    for (const { key } of store.range(range)) return issuedAtOfDedupeKey(key)
    return 0
  }

  remember(batch: Batch, { name, key, issuedAt, op }: Unanswered, answer: Answer): void {
    this.#newestOfBatch = Math.max(this.#newestOfBatch, issuedAt)
    batch.write(key, encodeAnswer(answer, op))
    batch.answers.set(name, answer)
  }

  /** How long the next batch may be away: forever, unless more is to be forgotten. */
  get restMs(): number {
    return this.#behind ? EVICTION_PAUSE_MS : Number.POSITIVE_INFINITY
  }

  /** Forgets what is past the window, some of it with every batch. */
  evict(batch: Batch): void {
    const { shard, store, limits, clock } = this.#shard
    // Callers read the wall clock: what they send is not old because the shard's time is ahead of it.
    const before = Math.min(batch.now, clock.now()) - limits.dedupeWindowMs
    const floor = before - (before % DEDUPE_STEP_MS)
    if (floor <= this.floor && !this.#behind) return
    this.floor = Math.max(this.floor, floor)
    const { from, to } = dedupeRangeBefore(shard, this.floor)
    const limit = EVICTED_PER_BATCH + 2 * batch.answers.size
    let removed = 0
    for (const { key } of store.range({ from, to, limit })) {
      this.#behind = batch.roomLeft(limits) < key.length + ROW_BYTES
      if (this.#behind) return
      batch.write(key, null)
      removed += 1
    }
    this.#behind = removed === limit
  }
  #behind = false
}

function tooNew(command: Command, aheadMs: number, { clockSkewMaxMs }: Limits): ErrorRecord {
  return errorRecord(
    'clock-skew',
    `command ${command.id} was issued ${aheadMs} ms in the future; at most ${clockSkewMaxMs} are allowed (clockSkewMaxMs)`,
    { address: command.address },
  )
}

function expired(command: Command, windowMs: number): ErrorRecord {
  return errorRecord(
    'expired',
    `command ${command.id} is older than ${windowMs} ms, the window in which ids are remembered (dedupeWindowMs): it is unknown whether it was applied; look at the actor, and use a new id`,
    { address: command.address },
  )
}

const STATUS_CODES: readonly ActorStatus[] = ['active', 'done', 'stopped']

/** The common reply is stored by position; anything else as it is. */
function encodeAnswer(answer: Answer, op: Command['op']): Uint8Array {
  if ('error' in answer) return pack([2, answer.error])
  if (isAttempt(answer.ok)) {
    const { input: _input, ...attempt } = answer.ok
    return pack([op === 'task.done' ? 4 : 3, attempt])
  }
  const view = answer.ok as Partial<TurnView> | null
  if (view && typeof view === 'object' && typeof view.handled === 'boolean') {
    const fields: unknown[] = [
      0,
      view.turn,
      STATUS_CODES.indexOf(view.status ?? 'active'),
      view.value,
      view.handled,
      view.kept,
      view.reply,
      view.output,
    ]
    while (fields.at(-1) === undefined) fields.pop()
    return pack(fields)
  }
  return pack([1, answer.ok])
}

/** Of a started or attached task. Its input stands with the actor: it may be half of a batch. */
function isAttempt(answer: unknown): answer is { taskId: string; input: unknown } {
  return typeof answer === 'object' && answer !== null && 'taskId' in answer && 'input' in answer
}

/**
 * As it was, if it is still the attempt that counts: nobody begins one that was given up. What was ended for it
 * (`ofEnd`) stays ended all the same, and is said to be: there is only nothing to go on with.
 */
function attemptOf(
  { taskId, token, ...rest }: Remembered,
  head: Head | undefined,
  ofEnd: boolean,
): Answer {
  const task = head?.tasks.find(({ effectId }) => effectId === taskId)
  if (task?.token === token) return { ok: { taskId, token, ...rest, input: task.input } }
  if (ofEnd) return { ok: null }
  const code = task === undefined ? 'task-gone' : 'task-stale'
  const why = task === undefined ? 'is no longer wanted' : 'has given up this attempt'
  return { error: errorRecord(code, `task ${taskId} ${why}`) }
}

interface Remembered {
  taskId: string
  token: string
}

function decodeAnswer(bytes: Uint8Array, address: string, heads: Heads): Answer {
  const [form, ...f] = unpack(bytes) as unknown[]
  if (form === 2) return { error: f[0] as ErrorRecord }
  if (form === 3 || form === 4) return attemptOf(f[0] as Remembered, heads.get(address), form === 4)
  if (form === 1) return { ok: f[0] }
  const view: TurnView = {
    address,
    turn: f[0] as number,
    status: STATUS_CODES[f[1] as number] ?? 'active',
    value: f[2] as StateValue,
    handled: f[3] as boolean,
  }
  if (f[4] !== undefined) view.kept = f[4] as number
  if (f[5] !== undefined) view.reply = f[5]
  if (f[6] !== undefined) view.output = f[6]
  return { ok: view }
}
