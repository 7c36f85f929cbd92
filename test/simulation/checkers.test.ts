/** Every checker shown a list that it has to reject, and the good list beside it. */
import { describe, expect, it } from 'vitest'
import type { ChartPlan } from './charts.ts'
import { CHECKERS } from './checkers/index.ts'
import {
  answered,
  asked,
  batch,
  CALLBACK,
  callback,
  checkpoint,
  flushed,
  gone,
  heard,
  known,
  List,
  owns,
  readBegan,
  released,
  removed,
  served,
  tells,
  told,
  turn,
} from './event-list.ts'
import type { ActorFact, Happening } from './events.ts'
import { JOURNAL_CASES } from './journal-cases.ts'
import { leased, MOVE_CASES, restingStore } from './move-cases.ts'

const begun = () => new List().claim().actor({ entries: [turn(1)] })
const task = { taskId: 'flat/a#2.0:1:0', attempt: 1, worker: 'w1' }
const ring = { effectId: 'flat/a#2.0:1:0', dueAt: 900, kind: 'event', type: 'RING', frozenMs: null }
const rang = (number: number) => turn(number, { cause: 'RING', by: 'timer' })

const OF_FAMILY = 'family/a#2.0:2:0'
const drained: Happening = { kind: 'drained', afterMs: 1 }
const listening = () => begun().actor({ turn: 2, entries: [turn(2)], lives: [CALLBACK] })
const pulsed = (number: number) => turn(number, { cause: 'PULSE', by: 'callback' })

const LISTED = 'flat/a @1 active'

const CASES: Record<string, readonly [what: string, make: () => List][]> = {
  'one-writer': [
    ['a slot that stands twice', () => begun().slot(batch({}), { slot: 2 })],
    ['a slot beyond a gap', () => begun().slot(batch({}), { slot: 7 })],
    ['a record that names another before it', () => begun().slot(batch({}), { prev: 'else' })],
    ['an owner that was deposed', () => begun().claim('n2', 'b').batch()],
    ['a batch without a claim', () => new List().batch()],
    [
      'a batch of whom a newer process has deposed',
      () => new List().add(owns('n1', 'a')).batch().add(owns('n2', 'b')).batch(),
    ],
  ],
  ...JOURNAL_CASES,
  ...MOVE_CASES,
  'nothing-needed-is-removed': [
    ['slots that no checkpoint has', () => begun().add(removed(1))],
    ['slots behind the checkpoint', () => begun().add(checkpoint(1)).add(removed(2))],
    [
      'the checkpoint that has what is gone',
      () => begun().add(checkpoint(2)).add(removed(2)).add(gone(2)),
    ],
    [
      'slots that only a checkpoint of another chain has',
      () =>
        begun()
          .add(checkpoint(2, { hash: 'else' }))
          .add(removed(1)),
    ],
  ],
  'checkpoint-equals-journal': [
    ['a row that is missing', () => begun().add(checkpoint(2, { differs: 'row 00 is missing' }))],
  ],
  'commit-before-effect': [
    ['a reply that no slot holds', () => begun().add(released('1-x'))],
    [
      'a reply before the node knows of its slot',
      () =>
        begun()
          .batch({ remembered: ['flat/a 1-x'] })
          .add(flushed(3))
          .add(released('1-x')),
    ],
    [
      'a reply before the flush',
      () =>
        begun()
          .batch({ remembered: ['flat/a 1-x'] })
          .add(known(3))
          .add(released('1-x')),
    ],
    [
      'a task that is not committed',
      () => begun().add({ kind: 'task-published', node: 'n1', taskId: task.taskId }),
    ],
    [
      'a message that is not committed',
      () =>
        begun().add({
          ...{ kind: 'relayed', node: 'n1', shard: 0, target: 1, generation: 1 },
          ...{ first: 1, count: 1 },
        }),
    ],
  ],
  'applied-once': [
    [
      'a command that is remembered twice',
      () =>
        begun()
          .batch({ remembered: ['flat/a 1-x'] })
          .batch({ remembered: ['flat/a 1-x'] }),
    ],
    [
      'a command that made two turns',
      () =>
        begun()
          .actor({ turn: 2, entries: [turn(2, { commandId: '1-x' })] })
          .actor({ turn: 3, entries: [turn(3, { commandId: '1-x' })] }),
    ],
    [
      'two outcomes of one command',
      () =>
        begun()
          .batch({ remembered: ['flat/a 1-x'] })
          .add(answered('1-x', 'one'))
          .add(answered('1-x', 'two')),
    ],
  ],
  'acknowledged-is-there': [
    ['an answer that is in no slot', () => begun().add(answered('1-x', ''))],
  ],
  'refusals-are-true': [
    [
      'a command that was refused and is applied',
      () =>
        begun()
          .add({ kind: 'sent', party: 'c1', id: '1-x', address: 'flat/a', op: 'send' })
          .add({ ...released('1-x'), code: 'unavailable' })
          .add({ kind: 'gave-up', party: 'c1', id: '1-x', address: 'flat/a', tries: 1 })
          .batch({ remembered: ['flat/a 1-x'] }),
    ],
  ],
  'reads-are-committed': [
    [
      'a read of what no slot holds',
      () =>
        begun()
          .add(readBegan('1-r'))
          .add({ ...released('1-r'), turn: 9 }),
    ],
  ],
  'reads-are-fresh': [
    [
      'a read that is older than what was told before',
      () =>
        begun()
          .batch({ remembered: ['flat/a 1-x'] })
          .add({ ...answered('1-x', ''), turn: 5 })
          .add(readBegan('1-r'))
          .add({ ...answered('1-r', ''), turn: 4 }),
    ],
  ],
  'lists-are-true': [
    [
      'a list without an actor',
      () => begun().add(known(2)).add(flushed(2)).add(asked()).add(told()),
    ],
    [
      'a list with what is gone',
      () => begun().add(known(2)).add(flushed(2)).add(asked()).add(told('flat/a @2 active')),
    ],
    ['a list with what no slot holds yet', () => new List().claim().add(asked()).add(told(LISTED))],
    [
      'a count that is wrong',
      () =>
        begun()
          .add(asked({ kind: 'count' }))
          .add(told('flat active 2')),
    ],
    [
      'a page that begins anew',
      () =>
        begun()
          .add(asked({ after: 'flat/a' }))
          .add(told(LISTED)),
    ],
  ],
  callbacks: [
    [
      'an event of a callback that has ended',
      () => listening().actor({ turn: 3, entries: [pulsed(3)], context: { live: 'else' } }),
    ],
    ['a callback that nobody runs', () => listening().add(served()).add(drained)],
    [
      'a callback that no actor has',
      () => begun().add(served()).add(callback('begins')).add(drained),
    ],
    [
      'a callback that goes on where its shard was let go',
      () =>
        listening()
          .add(callback('begins'))
          .slot({ kind: 'release', epoch: { slot: 1, claimId: 'a' } })
          .add(known(4))
          .add(served('n2')),
    ],
  ],
  messages: [
    ['a number that is sent twice', () => begun().batch(tells(1)).batch(tells(1))],
    ['a number that is left out', () => begun().batch(tells(1)).batch(tells(3))],
    [
      'a message that is stepped twice',
      () =>
        begun()
          .batch({ inbound: [heard(2)] })
          .batch({ inbound: [heard(2)] }),
    ],
    ['an actor that was told twice', () => begun().actor({ context: { wrong: 1 } })],
    [
      'a message that never arrived',
      () =>
        begun()
          .actor({ context: { sent: { 'flat/a': 1 } } })
          .add({ kind: 'drained', afterMs: 1 }),
    ],
  ],
  timers: [
    [
      'a timer that is gone',
      () =>
        begun()
          .actor({ timers: [ring] })
          .actor({ timers: [] }),
    ],
    [
      'a timer that rang twice',
      () =>
        begun()
          .actor({ timers: [ring] })
          .actor({ turn: 2, entries: [rang(2)] })
          .actor({ turn: 3, entries: [rang(3)] }),
    ],
    [
      'a timer that rang early',
      () =>
        begun()
          .actor({ timers: [{ ...ring, dueAt: 5_000 }] })
          .actor({ turn: 2, entries: [rang(2)] }),
    ],
    [
      'a timer that came back',
      () =>
        begun()
          .actor({ timers: [ring] })
          .actor({ turn: 2, entries: [rang(2)] })
          .actor({ turn: 2, timers: [ring] }),
    ],
  ],
  tasks: [
    [
      'an attempt that began beside another',
      () =>
        begun()
          .actor({ tasks: [{ ...task, state: 'running', token: 't1' }] })
          .actor({ tasks: [{ ...task, state: 'running', token: 't2', attempt: 2 }] }),
    ],
    [
      'two attempts with one token',
      () =>
        begun()
          .actor({ tasks: [{ ...task, state: 'running', token: 't1' }] })
          .actor({ tasks: [{ ...task, state: 'running', token: 't1', attempt: 2 }] }),
    ],
    [
      'a result with a stale token that was accepted',
      () =>
        begun()
          .actor({ tasks: [{ ...task, state: 'running', token: 't1' }] })
          .add({
            ...{ kind: 'task-reported', worker: 'w1', taskId: task.taskId, token: 'old' },
            ...{ op: 'task.done', code: 'ok' },
          }),
    ],
  ],
  'steps-are-those-of-xstate': [
    ['a step that XState does not make', () => chartBegun().actor(chartAt('s1', { turn: 2 }))],
    ['a context that no step gives', () => chartBegun({ context: { ...context, count: 2 } })],
    [
      'an event that changed nothing',
      () =>
        chartBegun().actor(
          chartAt('s0', { turn: 2, entries: [turn(2, { ...e1, from: 's0', to: 's0' })] }),
        ),
    ],
    ['an end that is none', () => chartBegun({ status: 'done' })],
    ['a timer that was not set', () => chartBegun({ timers: [] })],
    ['a timer that nobody asked for', () => chartBegun({ timers: [soon, soon] })],
    ['a task that was not asked for', () => chartBegun({ children: ['work_s1'] })],
    ['a task that is missing', () => chartBegun().actor(chartMoved({ children: [] }))],
    ['a timer that is missing after a cancel', () => chartBack()],
    ['a task that has ended unheard', () => chartBegun().actor(chartMoved({ tasks: [] }))],
  ],
  'bad-input': [
    [
      'bad input that made a turn',
      () =>
        begun()
          .add({ kind: 'sent', party: 'c1', id: '1-b', address: 'flat/a', op: 'send', bad: true })
          .actor({ turn: 2, entries: [turn(2, { commandId: '1-b' })] }),
    ],
  ],
  paused: [
    [
      'a turn while it was paused',
      () =>
        begun()
          .actor({ paused: true })
          .actor({ paused: true, turn: 2, entries: [turn(2)] }),
    ],
  ],
  resume: [
    [
      'a resume that ended a task',
      () =>
        begun()
          .actor({ paused: true, tasks: [{ ...task, state: 'running', token: 't1' }] })
          .actor({ turn: 2, entries: [turn(2, { cause: 'resume' })] }),
    ],
  ],
  history: [
    ['a turn that is left out', () => begun().actor({ turn: 3, entries: [turn(3)] })],
    [
      'a turn that begins elsewhere',
      () => begun().actor({ turn: 2, entries: [turn(2, { from: 'off' })] }),
    ],
    ['a turn without an entry', () => begun().actor({ turn: 2 })],
  ],
  births: [
    [
      'a birth that is used again',
      () =>
        begun()
          .batch({ removed: ['flat/a'] })
          .actor({ entries: [turn(1)] }),
    ],
  ],
  migrated: [
    ['an actor that was migrated twice', () => begun().actor({ context: { migrated: 2 } })],
  ],
  'nobody-dies': [['an actor that is gone', () => begun().batch({ removed: ['flat/a'] })]],
  'store-equals-journal': [
    [
      'a store that lacks a row',
      () =>
        begun().add({
          ...{ kind: 'end-store', node: 'n1', shard: 0, appliedSlot: 2 },
          differs: 'the store lacks row 0',
        }),
    ],
  ],
  liveness: [['work that is left', () => begun().add({ kind: 'not-drained', why: 'a task' })]],
  invariants: [['an engine that broke', () => begun().add({ kind: 'broke', node: 'n1', why: '' })]],
}

const note = ['note']
const chart: ChartPlan = {
  name: 'r1',
  root: {
    initial: 's0',
    states: {
      s0: {
        on: { E1: { target: '#r1.s1', actions: note } },
        after: { soon: { target: '#r1.s1', actions: note } },
      },
      s1: {
        invoke: {
          ...{ src: 'work', id: 'work_s1', input: { ms: 1 } },
          onDone: { target: '#r1.s0', actions: note },
        },
      },
    },
  },
  attemptsMax: 1,
  renamed: 's1',
}
const nothing = { heard: 0, wrong: 0, migrated: 0, told: {}, sent: {} }
const context = { life: '1-s', count: 0, words: [], ...nothing }
const soon = { ...ring, type: 'xstate.after.soon.r1.s0', dueAt: 5_000 }
const e1 = { cause: 'E1', commandId: '1-e' }

function chartAt(state: string, changes: Partial<ActorFact> = {}): Partial<ActorFact> {
  const timers = state === 's0' ? [soon] : []
  const children = state === 's0' ? [] : ['work_s1']
  const tasks = children.map(() => ({ ...task, state: 'queued', token: '' }))
  return { address: 'r1/x', state, context, timers, children, tasks, ...changes }
}

function chartBegun(changes: Partial<ActorFact> = {}): List {
  const entries = [turn(1, { cause: 'start', commandId: '1-s', to: 's0' })]
  const list = new List().add({ kind: 'charts', charts: [chart] })
  return list.claim().actor(chartAt('s0', { entries, ...changes }))
}

function chartMoved(changes: Partial<ActorFact> = {}): Partial<ActorFact> {
  const entries = [turn(2, { ...e1, from: 's0', to: 's1' })]
  const moved = { ...context, count: 1, words: ['E1'] }
  return chartAt('s1', { turn: 2, entries, context: moved, ...changes })
}

function chartBack(): List {
  const gone = [turn(2, { cause: 'cancel', from: 's0', to: 's0' })]
  const back = [turn(3, { cause: 'resume', note: 's0', from: 's0', to: 's0' })]
  return chartBegun()
    .actor(chartAt('s0', { turn: 2, status: 'stopped', timers: [], entries: gone }))
    .actor(chartAt('s0', { turn: 3, timers: [], entries: back }))
}

it('a drawn chart that steps as XState does is accepted', () => {
  expect(chartBegun().actor(chartMoved()).found()).toEqual([])
})

describe.each(Object.entries(CASES))('%s rejects', (checker, cases) => {
  it.each(cases)('%s', (_what, make) => {
    expect(make().found()).toContain(checker)
  })
})

it('a good list is accepted', () => {
  const list = begun()
    .batch({ remembered: ['flat/a 1-x'] })
    .add(known(3))
    .add(flushed(3))
    .add(released('1-x'))
    .add(answered('1-x', ''))
    .actor({ turn: 2, entries: [turn(2, { cause: 'ARM' })], timers: [ring] })
    .actor({ turn: 3, entries: [rang(3)] })
    .add(checkpoint(1))
    .add(checkpoint(2))
    .add(removed(2))
    .add(gone(1))
    .add({ kind: 'checkpoint-loaded', node: 'n2', shard: 0, slot: 3 })
    .add({ ...released('1-x'), node: 'n2' })
    .add({ kind: 'drained', afterMs: 1 })
  expect(list.found()).toEqual([])
})

it('a store at rest is accepted, and what is said again', () => {
  expect(restingStore().found()).toEqual([])
  const parked = { status: 'active', state: 'parked', wait: { why: 'look', until: null } }
  const lane = { totals: { finished: 0, finishedInAdvance: 0 } }
  const waits = { 'migrate-task/balance-1-1-a': parked, 'move-lane/balance': lane }
  expect(restingStore({ ...waits, 'owner/o': { seen: [] } }).found()).toEqual([])
  expect(leased([{ token: 7, by: 'COMPLETE' }], 'COMPLETE', 3).found()).toEqual([])
  expect(leased([], 'COMPLETE', 1).found()).toEqual([])
})

it('a list may be answered as of any moment since it was asked for', () => {
  const list = begun()
    .add(asked({}, 'q.1'))
    .add(asked({ kind: 'count' }, 'q.2'))
    .actor({ turn: 2, entries: [turn(2)] })
    .add(told(LISTED, 'q.1'))
    .add(told('flat active 1', 'q.2'))
    .add(asked({}, 'q.3'))
    .add(told('flat/a @2 active', 'q.3'))
  expect(list.found()).toEqual([])
})

it('callbacks and directories go from owner to owner', () => {
  const heard = { turn: 3, entries: [pulsed(3)], lives: [], context: { live: CALLBACK } }
  const list = new List()
    .claim()
    .actor({ address: 'family/a', turn: 1, entries: [turn(1)] })
    .actor({ address: 'family/a', turn: 2, entries: [turn(2)], lives: [OF_FAMILY] })
    .add(known(3))
    .add(flushed(3))
    .add({ ...callback('begins'), effectId: OF_FAMILY } as Happening)
    .actor({ address: 'family/a', ...heard, context: { live: OF_FAMILY } })
    .add({ ...callback('ends'), effectId: OF_FAMILY } as Happening)
    .add(served())
    .add(drained)
  expect(list.found()).toEqual([])
  const owned = new List().add(owns('n1', 'a')).batch().add(owns('n2', 'b'))
  expect(owned.batch({ epoch: { slot: 0, claimId: 'b' } }).found()).toEqual([])
})

it('a list that has grown is judged anew', () => {
  const list = begun()
    .add(answered('1-x', ''))
    .batch({ remembered: ['flat/b 1-x'] })
  expect(list.found()).toEqual(['acknowledged-is-there'])
  list.batch({ remembered: ['flat/a 1-x'] })
  expect(list.found()).toEqual([])
})

it('every checker has a list that it rejects', () => {
  const names = new Set(Object.keys(CASES))
  expect(names.size).toBe(CHECKERS.length)
})
