/**
 * Would the scenarios notice? Each rule of the journaled path is taken out once, and the scenario
 * that is named beside it has to fail.
 */
import { describe, expect, it } from 'vitest'
import { crashes } from './journaled-crashes.ts'
import { BROKEN_ADAPTERS, type Mutation, mutated } from './journaled-mutate.ts'
import { type Parts, REAL, Stuck } from './journaled-nodes.ts'
import { ownership } from './journaled-ownership.ts'

const scenarios: Record<string, (parts: Parts) => Promise<void>> = { ...ownership, ...crashes }

interface Mutant {
  rule: string
  mutations: Mutation[]
  /** The beginning of the scenario's name. */
  noticedBy: string
}

const one = (file: string, replace: string, by: string): Mutation[] => [{ file, replace, by }]

const MUTANTS: readonly Mutant[] = [
  {
    rule: 'a shard is claimed before it is served',
    mutations: one(
      'taking',
      'this.#slots.write(write, (outcome) => {\n      // Somebody else was faster',
      "const skip = (_: unknown, then: (o: { kind: string; sequence: number }) => void) => then({ kind: 'written', sequence: end.lastSequence })\n    skip(write, (outcome) => {\n      // Somebody else was faster",
    ),
    noticedBy: 'of two that claim at once',
  },
  {
    rule: 'a refused claim is not taken for a won one',
    mutations: one('taking', "if (outcome.kind !== 'written') return this.run()", ''),
    noticedBy: 'a loser that a newer view',
  },
  {
    rule: 'only a newer view deposes an owner',
    mutations: one('taking', 'claim.viewVersion < viewVersion', 'true'),
    noticedBy: 'of two that claim at once',
  },
  {
    rule: 'a slot that holds another record fences',
    mutations: one('slot-reader', 'Buffer.compare(found.record, record) === 0', 'true'),
    noticedBy: 'an owner with a batch under way',
  },
  {
    rule: 'a slot that holds our own record is acknowledged',
    mutations: one('slot-reader', 'Buffer.compare(found.record, record) === 0', 'false'),
    noticedBy: 'refused by our own earlier try',
  },
  {
    rule: 'an unknown outcome is not a success',
    mutations: one(
      'slot-reader',
      "if (outcome.kind === 'written') done(outcome)",
      "if (outcome.kind !== 'refused') done({ kind: 'written', sequence: after.sequence + 1 })",
    ),
    noticedBy: 'a command is taken once',
  },
  {
    rule: 'an unknown outcome is not a failure',
    mutations: one(
      'slot-reader',
      'this.#retries.again(tries, () => this.write(write, done, tries + 1))',
      "done({ kind: 'fenced', record })",
    ),
    noticedBy: 'a command is taken once',
  },
  {
    rule: 'the end is read after an unknown outcome',
    mutations: one('slot-reader', 'if (end.serverId !== after.serverId) {', 'if (false) {'),
    noticedBy: 'on a new connection',
  },
  {
    rule: 'a slot that is shorter than known does not hang its writer',
    mutations: one(
      'slot-reader',
      'if (end.lastSequence < after.sequence) {',
      'if (end.lastSequence < 0) {',
    ).concat(one('slot-reader', 'if (end.serverId !== after.serverId) {', 'if (false) {')),
    noticedBy: 'a living owner whose journal lost its end',
  },
  {
    rule: 'a reply waits for the flush',
    mutations: one(
      'journaled-commit',
      'written === undefined || !flushed',
      'written === undefined',
    ),
    noticedBy: 'a reply waits for the slot and for the flush',
  },
  {
    rule: 'a reply waits for the slot',
    mutations: one(
      'journaled-commit',
      'written === undefined || !flushed) return',
      '!flushed) return\n      written ??= sequence + 1',
    ),
    noticedBy: 'a reply waits for the slot and for the flush',
  },
  {
    rule: 'a read is confirmed',
    mutations: one(
      'journaled-commit',
      'this.#confirmEnd(this.#ownership().last, settle)',
      "settle({ kind: 'committed' })",
    ),
    noticedBy: 'a deposed owner answers no read',
  },
  {
    rule: 'a foreign end ends the ownership',
    mutations: one('journaled-commit', 'if (end.lastSlot > last.slot) {', 'if (false) {'),
    noticedBy: 'a deposed owner answers no read',
  },
  {
    rule: 'after a silence the end is read',
    mutations: one('journaled-commit', 'if (silenceMs <', 'if (true || silenceMs <'),
    noticedBy: 'after a long silence',
  },
  {
    rule: 'a fenced owner deletes the row of its tail',
    mutations: one('journaled-commit', 'writes: [[tailKey(shard, slot), null]],', 'writes: [],'),
    noticedBy: 'an owner with a batch under way',
  },
  {
    rule: 'what may have happened is not called off',
    mutations: one(
      'journaled-commit',
      'settle({ ...RESET, why: outcome.why, unknown: true })',
      'settle({ ...RESET, why: outcome.why })',
    ),
    noticedBy: 'a living owner whose journal lost its end',
  },
  {
    rule: 'a tail that cannot be written ends the engine',
    mutations: one(
      'journaled-commit',
      "// The journal may have the batch, now or later.\n      failed: ({ message }) => settle({ kind: 'failed', why: message, unknown: true }),",
      'failed: () => {\n        flushed = true\n        arrived()\n      },',
    ),
    noticedBy: 'a tail that cannot be written',
  },
  {
    rule: 'what is read is kept only behind a claim that has won',
    mutations: one(
      'taking',
      'const write = { slot, record, after: { sequence: end.lastSequence, serverId } }',
      'this.#deps.store.write({ writes: [[tailKey(shard, slot), record]], failed: () => {} })\n    const write = { slot, record, after: { sequence: end.lastSequence, serverId } }',
    ).concat(
      one(
        'taking',
        'import { generationsIn,',
        "import { tailKey } from './keys.ts'\nimport { generationsIn,",
      ),
    ),
    noticedBy: 'of two that claim at once',
  },
  {
    rule: 'claims are kept in the tail',
    mutations: one(
      'tail',
      'raw.push([tailKey(shard, slot), bytes])',
      "if (head.kind === 'batch') raw.push([tailKey(shard, slot), bytes])",
    ),
    noticedBy: 'every node keeps the records',
  },
  {
    rule: 'a row of the tail is applied only if the journal has it',
    mutations: one(
      'lost-chain',
      'applied > end.slot || recordOf(row)?.serverId !== end.serverId',
      'true',
    ),
    noticedBy: 'a row of the tail that never reached the journal',
  },
  {
    rule: 'what the own tail says of a slot counts for nothing',
    mutations: one(
      'taking',
      'this.#records.push(...records)',
      'const from = this.#applied.slot + this.#records.length + 1\n    const own = new Map([...this.#tail.after(this.#applied.slot)].map((row) => [row.slot, row.bytes]))\n    this.#records.push(...records.map((record, index) => own.get(from + index) ?? record))',
    ).concat(one('tail', 'if (record.prev !== prev) return', 'if (false) return')),
    noticedBy: 'what a fenced owner had flushed',
  },
  {
    rule: 'a lost end is written again',
    mutations: one('taking', 'if (chain.length > 0) this.#refill(chain, end)\n    else', ''),
    noticedBy: 'a journal that lost its end',
  },
  {
    rule: 'only what joins the end of the journal is written again',
    mutations: one('lost-chain', 'record?.prev === hash', 'record'),
    noticedBy: 'a lost end that this store cannot give back',
  },
  {
    rule: 'a store ahead of the journal does not claim behind a gap',
    mutations: one('taking', 'if (applied > end.lastSlot + chain.length) {', 'if (false) {'),
    noticedBy: 'a lost end that this store cannot give back',
  },
  {
    rule: 'what is off the chain is set aside',
    mutations: one('tail', 'writes.push([quarantineKey(', 'if (false) writes.push([quarantineKey('),
    noticedBy: 'records off the chain',
  },
  {
    rule: 'appliedHash is compared with the journal',
    mutations: one(
      'taking',
      'if (slot < end.lastSlot || (newest && hashBytes(newest) === hash)) return',
      'if (true) return',
    ).concat(one('tail', 'if (record.prev !== prev) return', 'if (false) return')),
    noticedBy: 'a store that is not a prefix',
  },
  {
    rule: 'a removed slot is not jumped over',
    mutations: one(
      'taking',
      'if (!records) return this.#meetGap(from, end)',
      'if (!records && this.#applied.slot > 0) return this.#meetGap(from, end)',
    ).concat(
      one('taking', 'this.#records.push(...records)', 'this.#records.push(...(records ?? []))'),
      one('taking', 'slot === this.#applied.slot + this.#records.length + 1,', 'true,'),
      one(
        'taking',
        'this.#readTo < end.lastSlot',
        'this.#applied.slot + APPLIED_AT_ONCE < end.lastSlot',
      ),
    ),
    noticedBy: 'removed slots',
  },
]

const BY_ADAPTER: Readonly<Record<string, string>> = {
  'the server refuses nothing': 'an owner with a batch under way',
  'the server creates only, wherever its stream ends': 'a living owner whose journal lost its end',
  'the store says flushed too early': 'a reply waits for the slot and for the flush',
}

function scenarioOf(beginning: string) {
  const found = Object.entries(scenarios).filter(([name]) => name.startsWith(beginning))
  if (found.length !== 1) throw new Error(`${found.length} scenarios begin with "${beginning}"`)
  return found[0]![1]
}

/** By a judgement, not because the mutant does not even run. */
async function judgeNoticed(rule: string, scenario: string, parts: Parts): Promise<void> {
  const failure = await scenarioOf(scenario)(parts).then(
    () => undefined,
    (thrown: Error) => thrown,
  )
  expect(failure, `nobody notices: ${rule}`).toBeDefined()
  expect(
    failure!.name === 'AssertionError' || failure instanceof Stuck,
    String(failure?.stack),
  ).toBe(true)
}

describe('a commit path without a rule is noticed', () => {
  it.each(MUTANTS)('$rule', async ({ rule, mutations, noticedBy }) => {
    const parts = await mutated(mutations)
    await judgeNoticed(rule, noticedBy, parts)
  })

  it.each(Object.entries(BROKEN_ADAPTERS))('%s', async (name, broken) => {
    await judgeNoticed(name, BY_ADAPTER[name]!, { ...REAL, ...broken })
  })

  it('and one that only went through the mill is not', async () => {
    const parts = await mutated([])
    for (const { noticedBy } of MUTANTS) await scenarioOf(noticedBy)(parts)
  })
})
