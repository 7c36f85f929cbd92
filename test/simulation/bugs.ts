/**
 * Would anybody notice? Deliberate bugs, each of which some checker has to catch within some seeds.
 *
 * Decides: the bugs, as replacements in the sources of the engine or as other parts, and what counts
 * as caught. Leaves to others: the table of who caught what (bug-table.ts), making a copy of the
 * sources with a bug in it (mutants.ts).
 */
import { type Caught, writeBugTable } from './bug-table.ts'
import { CreatesOnly, mutated, RefusesNothing, type Replacement } from './mutants.ts'
import type { SimOptions } from './options.ts'
import { NO_CHECKPOINTS, type Parameters } from './parameters.ts'
import { type Parts, REAL } from './parts.ts'
import { runSeed } from './run.ts'

export interface Bug {
  name: string
  replacements?: readonly Replacement[]
  parts?: Partial<Parts>
  /** Faults without which it cannot show. */
  tune?: (parameters: Parameters) => void
}

const one = (file: string, text: string, by: string): Replacement => ({ file, text, by })

/** Drawn charts, whose steps are held against XState's own. */
const drawn = (parameters: Parameters) => {
  parameters.charts = 3
}

/** Every seed has the journal lose what it had not synced. */
const losses = (parameters: Parameters) => {
  parameters.troubles.journalLossMs = 8_000
  parameters.troubles.crashMs ||= 8_000
  // A disk that is gone as well is more than anybody is promised; and little stays unsynced where slots
  // are removed soon.
  parameters.troubles.wipeMs = 0
  parameters.checkpoints.slots = NO_CHECKPOINTS
}

/** Views change their mind often: owners are deposed while they live. */
const duels = (parameters: Parameters) => {
  parameters.fickleMs = 1_500
  parameters.nodes = Math.max(3, parameters.nodes)
}

const rolling = (parameters: Parameters) => {
  parameters.troubles.upgradeMs = 8_000
  parameters.troubles.crashMs = 6_000
}

/** Slots are removed as soon as that may be, under crashes. */
const removals = (parameters: Parameters) => {
  parameters.logic = 'cluster'
  parameters.nodes = Math.max(3, parameters.nodes)
  parameters.shards = Math.min(2, parameters.shards)
  Object.assign(parameters.checkpoints, { slots: 5, lookMs: 300, retentionMs: 4_000, slotsMin: 2 })
  parameters.troubles.crashMs = 4_000
}

/** A checkpoint that is young goes with the end of the journal. */
const lostCheckpoints = (parameters: Parameters) => {
  losses(parameters)
  removals(parameters)
}

/** Disks are lost, and nothing else: whoever comes back begins with a checkpoint. */
const wipes = (parameters: Parameters) => {
  removals(parameters)
  Object.assign(parameters.troubles, { wipeMs: 5_000, journalLossMs: 0 })
}

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
    replacements: [one('dedupe', 'batch.write(key, encodeAnswer(answer))', '')],
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
        'this.#again(tries, () => this.write(write, done, tries + 1))',
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
        'tasks',
        "if (task.state === 'running') return held(",
        "if (task.state === 'waiting') return held(",
      ),
      one('tasks', "if (task.state !== 'queued') return", "if (task.state === 'waiting') return"),
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
        'batch.write(inboundKey(this.#shard.shard, from), pack([generation, last]))',
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
        'const own = new Map([...this.#tail.after(this.#applied.slot)].map((row) => [row.slot, row.bytes]))\n      this.#records.push(...records.map((record, index) => own.get(from + index) ?? record))',
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
        'reply.value = applyCommand(this.#context, batch, this.#dedupe, item.command, durability)',
        "reply.value = applyCommand(this.#context, batch, this.#dedupe, item.command, durability)\n      if (item.command.op === 'get') reply.send(reply.value)",
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

export async function partsOf({ replacements, parts }: Bug): Promise<Parts> {
  const base = replacements ? await mutated(replacements) : REAL
  return { ...base, ...parts }
}

/** The first seed at which any checker says no, and said nothing of the real parts. */
export async function hunt(bug: Bug, seeds: [number, number], virtualMs: number): Promise<Caught> {
  const parts = await partsOf(bug)
  const [from, to] = seeds
  const tune = bug.tune === undefined ? {} : { tune: bug.tune }
  // Only bugs that need them have drawn charts: the others are found in a smaller world.
  const given = { charts: false }
  for (let seed = from; seed <= to; seed++) {
    const { violations } = runSeed({ seed, given, virtualMs, parts, ...tune })
    const [first] = violations
    if (!first) continue
    // A seed on which the real parts fail as well says nothing of the bug.
    if (runSeed({ seed, given, virtualMs, parts: REAL, ...tune }).violations.length > 0) continue
    return { bug: bug.name, seeds: seed - from + 1, checker: first.checker }
  }
  return { bug: bug.name, seeds: to - from + 1, checker: undefined }
}

export async function runBugs(options: SimOptions, print: (text: string) => void): Promise<number> {
  const seeds = options.seeds ?? [1, 200]
  const { only } = options
  const chosen = BUGS.filter(({ name }) => only === undefined || name.includes(only))
  const all: Caught[] = []
  let missed = 0
  print(`${'bug'.padEnd(58)} ${'checker'.padEnd(24)} seeds`)
  for (const bug of chosen) {
    try {
      const caught = await hunt(bug, seeds, options.minutes * 60_000)
      all.push(caught)
      if (caught.checker === undefined) missed += 1
      const checker = caught.checker ?? 'NOT CAUGHT'
      print(`${bug.name.padEnd(58)} ${checker.padEnd(24)} ${caught.seeds}`)
    } catch (error) {
      // The sources have moved on: the bug has to be written anew.
      missed += 1
      print(`${bug.name.padEnd(58)} ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (options.write) {
    const names = BUGS.map(({ name }) => name)
    writeBugTable(names, all)
  }
  return missed > 0 ? 1 : 0
}
