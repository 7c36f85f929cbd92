/**
 * The deliberate bugs, as replacements in the sources of the engine or as other parts. Leaves to others:
 * hunting them (bugs.ts), the worlds in which they show (bug-tunes.ts).
 */
import {
  asking,
  drawn,
  duels,
  embedded,
  families,
  losses,
  lostCheckpoints,
  removals,
  rolling,
  wipes,
} from './bug-tunes.ts'
import { CreatesOnly, RefusesNothing, type Replacement } from './mutants.ts'
import type { Parameters } from './parameters.ts'
import type { Parts } from './parts.ts'

export interface Bug {
  name: string
  replacements?: readonly Replacement[]
  parts?: Partial<Parts>
  /** Faults without which it cannot show. */
  tune?: (parameters: Parameters) => void
}

const one = (file: string, text: string, by: string): Replacement => ({ file, text, by })

export const BUGS: readonly Bug[] = [
  { name: 'drop the create-only check', parts: { Server: RefusesNothing }, tune: duels },
  {
    name: 'drop the stream-sequence condition',
    parts: { Server: CreatesOnly },
    // After a loss, whoever asks a deposed leader takes a lost end for the present one.
    tune: (parameters) => {
      losses(parameters)
      parameters.journal.staleChance = 0.1
    },
  },
  {
    name: 'reply before flush',
    replacements: [
      one(
        'journaled-commit',
        'flushed: () => {\n        flushed = true\n        arrived()',
        'visible: () => {\n        flushed = true\n        arrived()',
      ),
    ],
  },
  {
    name: 'reply before the slot is known',
    replacements: [
      one(
        'journaled-commit',
        'written === undefined || !flushed) return',
        '!flushed || this.#ownership().last.slot === slot) return\n      written ??= sequence + 1',
      ),
    ],
  },
  {
    name: 'forget the dedupe record',
    replacements: [one('dedupe', 'batch.write(key, encodeAnswer(answer, op))', '')],
  },
  {
    name: 'do not look for the dedupe record',
    replacements: [one('dedupe', 'if (row)', 'if (row && issuedAt < this.floor)')],
  },
  {
    name: 'release effects before commit',
    replacements: [
      one(
        'engine',
        'this.#deps.commit.commit(',
        "for (const effect of batch.releases)\n      if (effect.kind !== 'timer') release(this.#deps, this.#context, this.#board, effect)\n    this.#deps.commit.commit(",
      ),
    ],
  },
  {
    name: 'fire a timer early',
    replacements: [
      one(
        'timer-queue',
        'if (!first || first.dueAt > now) break',
        'if (!first || first.dueAt > now + 200) break',
      ),
      one('tasks', 'if (timer.dueAt > batch.now) return', ''),
    ],
  },
  {
    name: 'forget timers at a takeover',
    replacements: [
      one(
        'timer-queue',
        'tableRange(this.#shard, TABLE.timer).from',
        'timerBound(this.#shard, now)',
      ),
    ],
  },
  {
    name: 'skip the claim on takeover',
    replacements: [
      one(
        'taking',
        'this.#slots.write(write, (outcome) => {\n      // Somebody else was faster',
        "const skip = (_: unknown, then: (o: { kind: string; sequence: number }) => void) => then({ kind: 'written', sequence: end.lastSequence })\n    skip(write, (outcome) => {\n      // Somebody else was faster",
      ),
    ],
  },
  {
    name: 'take a refused claim for a won one',
    replacements: [
      one(
        'slot-reader',
        'if (found) return done(outcomeOf(found, record))',
        "if (found) return done({ kind: 'written', sequence: found.sequence })",
      ),
    ],
    tune: duels,
  },
  {
    name: 'give up an unknown write as if it had failed',
    replacements: [
      one(
        'slot-reader',
        'this.#retries.again(tries, () => this.write(write, done, tries + 1))',
        "done({ kind: 'fenced', record })",
      ),
    ],
  },
  {
    name: 'accept a stale token',
    replacements: [
      one(
        'tasks',
        "if (task.state === 'running' && task.token === token) return undefined",
        "if (task.state === 'running') return undefined",
      ),
    ],
  },
  {
    name: 'start a held task',
    replacements: [
      one(
        'task-starts',
        "case 'queued':\n      return undefined",
        "case 'queued':\n    case 'running':\n      return undefined",
      ),
    ],
  },
  {
    name: 'lose an outbox acknowledgement',
    replacements: [one('channels', 'batch.write(key, null)', '')],
  },
  {
    name: 'step a message again',
    replacements: [one('inbound', 'messages.slice(last + 1 - first)', 'messages')],
  },
  {
    name: 'acknowledge a message without remembering it',
    replacements: [
      one(
        'inbound',
        'batch.write(inboundKey(this.#shard.shard, from), packEnd(last, lineage))',
        '',
      ),
    ],
  },
  {
    name: 're-fill from a fenced tail',
    replacements: [
      one('journaled-commit', 'writes: [[tailKey(shard, slot), null]],', 'writes: [],'),
      one(
        'lost-chain',
        'return epoch > otherEpoch || (epoch === otherEpoch && one.row.slot > other.row.slot)',
        'return one.row.slot > other.row.slot',
      ),
    ],
    tune: (parameters) => {
      losses(parameters)
      parameters.logic = 'cluster'
      parameters.troubles.freezeMs = 4_000
      parameters.troubles.lineMs = 4_000
    },
  },
  {
    name: 'apply a tail row that lost its slot',
    replacements: [
      one(
        'taking',
        'this.#records.push(...records)',
        'const from = this.#applied.slot + this.#records.length + 1\n    const own = new Map([...this.#tail.after(this.#applied.slot)].map((row) => [row.slot, row.bytes]))\n    this.#records.push(...records.map((record, index) => own.get(from + index) ?? record))',
      ),
      one('tail', 'if (record.prev !== prev) return', 'if (false) return'),
    ],
    tune: duels,
  },
  {
    name: 'resume that re-enters a running state',
    replacements: [one('resume', 'if (!head.parked && !retry) return undefined', '')],
  },
  {
    name: 'answer from a head that is dropped later',
    replacements: [
      one(
        'engine',
        'reply.value = applyCommand(this.#context, batch, this.#dedupe, item, durability, deliver)',
        "reply.value = applyCommand(this.#context, batch, this.#dedupe, item, durability, deliver)\n      if (item.command.op === 'get') reply.send(reply.value)",
      ),
    ],
  },
  {
    name: 'answer a read without asking the journal',
    replacements: [
      one(
        'journaled-commit',
        'this.#confirmEnd(this.#ownership().last, settle)',
        "settle({ kind: 'committed' })",
      ),
    ],
    // Who writes must not reach the deposed owner, who reads must.
    tune: (parameters) => {
      duels(parameters)
      Object.assign(parameters, { logic: 'oracle', shards: 1, actors: 5, clients: 1, readers: 2 })
      Object.assign(parameters, { thinkMs: 40 })
      Object.assign(parameters.troubles, { partitionMs: 2_500, crashMs: 0 })
    },
  },
  {
    name: 'answer a list at once',
    replacements: [
      one(
        'questions',
        'this.#waiting.push({ value: undefined, send, ofRows: true })',
        'send(undefined)',
      ),
    ],
    tune: asking,
  },
  {
    name: 'leave what is gone in the counts',
    replacements: [
      one('index-rows', 'batch.count(counterName(head, was), -1)\n  updateFields', 'updateFields'),
    ],
    tune: asking,
  },
  {
    name: 'page that begins where the last one ended',
    replacements: [one('queries', 'from: Buffer.concat([at, Buffer.from([0])])', 'from: at')],
    tune: asking,
  },
  {
    name: 'step again what did not fit its batch',
    replacements: [
      one('carried', 'batch.write(outboxKey(this.#shard, this.#shard, this.#number), null)', ''),
    ],
    tune: families,
  },
  {
    name: 'forget what did not fit its batch',
    replacements: [one('carried', 'this.#waiting.push(delivery)', '')],
    tune: families,
  },
  {
    name: 'hear a callback that has ended',
    replacements: [
      one('deliveries', 'entry.effectId === effectId && !entry.done', "entry.kind === 'live'"),
      one('deliveries', "by: 'callback', fromChild: effectId }", "by: 'callback' }"),
    ],
    tune: families,
  },
  {
    name: 'do not begin callbacks anew at a takeover',
    replacements: [one('engine', 'of found.live)', 'of found.live.slice(found.live.length))')],
    tune: families,
  },
  {
    name: 'callbacks that outlive their owner',
    replacements: [one('seat', 'owning.live.end()', '')],
    tune: (parameters) => {
      families(parameters)
      parameters.logic = 'cluster'
    },
  },
  {
    name: 'reuse an effect id after re-creation',
    replacements: [
      one('batch', 'nextBirth(): string {', "nextBirth(): string {\n    return '1.0'"),
    ],
  },
  {
    name: 'overtake the kept queue',
    replacements: [
      one(
        'records',
        'record.parked !== null || record.keptFrom < record.keptTo',
        'record.parked !== null',
      ),
    ],
    tune: (parameters) => {
      parameters.limits.stepsPerBatchMax = 2
      parameters.limits.batchCountMax = 64
      Object.assign(parameters, { thinkMs: 20, actors: 5, clients: 3 })
    },
  },
  {
    name: 'ignore the pause',
    replacements: [one('records', 'return record.paused !== null ||', 'return')],
  },
  {
    name: 'migrate twice',
    replacements: [one('heads', 'head.version = definition.version\n', '')],
    tune: rolling,
  },
  {
    name: 'forget what history states remember',
    replacements: [one('records', '(f[12] ?? null) as', 'null as')],
    tune: drawn,
  },
  {
    name: 'keep the timers of a state that was left',
    replacements: [one('plan', 'timer.id === effect.id', 'false')],
    tune: drawn,
  },
  {
    name: 'accept bad input',
    replacements: [
      one(
        'event-check',
        'if (parsed.success) return { event: { ...(parsed.data as object), type } }',
        'return { event }',
      ),
    ],
  },
  {
    name: 'remove slots without a checkpoint',
    replacements: [
      one(
        'checkpoints',
        'if (!newest || !second || newest.ageMs < limits.journalRetentionMs) return 0\n  return Math.max(0, Math.min(second.slot, lastSlot',
        'return Math.max(0, Math.min(Math.max(newest?.slot ?? 0, second?.slot ?? 0, lastSlot), lastSlot',
      ),
    ],
    tune: removals,
  },
  {
    name: 'remove slots behind the newest checkpoint',
    replacements: [
      one(
        'checkpoints',
        'if (!newest || !second || newest.ageMs < limits.journalRetentionMs) return 0\n  return Math.max(0, Math.min(second.slot',
        'if (!newest || second === newest) return 0\n  return Math.max(0, Math.min(newest.slot',
      ),
    ],
    tune: lostCheckpoints,
  },
  {
    name: 'keep two checkpoints, however young',
    replacements: [
      one(
        'checkpoints',
        'if (newest && second && newest.ageMs < limits.journalRetentionMs) return false',
        'if (second === undefined && newest === undefined) return maker.applied > 0',
      ),
      one(
        'checkpoints',
        'return second && lasting ? Math.min(second.slot, lasting.slot) : 0',
        'return second || lasting ? (second?.slot ?? 0) : 0',
      ),
    ],
    tune: lostCheckpoints,
  },
  {
    name: 'load a checkpoint that does not match its record',
    replacements: [
      one(
        'checkpoint-access',
        'const isWhole = digest === expected && count === rowCount',
        'const isWhole = digest === expected || count >= rowCount',
      ),
    ],
    tune: (parameters) => {
      wipes(parameters)
      parameters.checkpoints.damagedChance = 0.5
    },
  },
  {
    name: 'embedded: reply before flush',
    replacements: [one('embedded-commit', 'flushed: () => done', 'visible: () => done')],
    tune: embedded,
  },
  {
    name: 'embedded: send messages that are not on disk',
    replacements: [one('channels', 'channel.committed + 1', 'channel.next')],
    tune: (parameters) => {
      embedded(parameters)
      Object.assign(parameters, { thinkMs: 20, actors: 5, clients: 3 })
      parameters.disk.flushMs = 8
    },
  },
  {
    name: 'embedded: commit whoever owns the directory',
    replacements: [one('embedded-commit', 'condition: this.#owner,', '')],
    tune: embedded,
  },
  {
    name: 'embedded: answer a read whoever owns the directory',
    replacements: [one('embedded-commit', 'return isMine ?', 'return isMine || true ?')],
    tune: (parameters) => {
      embedded(parameters)
      Object.assign(parameters, { readers: 2, thinkMs: 40 })
      parameters.troubles.partitionMs = 2_500
    },
  },
  {
    name: 'lose an actor that fails',
    replacements: [
      one(
        'deliver',
        "return { kind: 'parked', error: park(shard, batch, head, message, cause, failedChildren) }",
        "removeActor(shard, batch, head)\n    return { kind: 'parked', error: errorRecord('parked', message) }",
      ),
    ],
  },
]
