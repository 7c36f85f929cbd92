/** A worker with a slot to spare goes on with what begins as an attempt ends. */
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TaskAttempt } from '../../src/machine/index.ts'
import { formatCommandId, type Outcome, pack } from '../../src/protocol/index.ts'
import { AttemptFiles, type AttemptRecord } from '../../src/worker/attempt-files.ts'
import type { Worker } from '../../src/worker/index.ts'
import { holds, until } from '../waiting.ts'
import { WorkerRig } from './rig.ts'

let rig: WorkerRig
const ran: unknown[] = []

beforeEach(async () => {
  ran.length = 0
  rig = await WorkerRig.create()
  rig.task({ name: 'work', run: async ({ input }) => void ran.push(input) })
})
afterEach(() => rig.close())

const SOON = { timeoutMs: 8_000 }
const FIRST = 'thing/a#1:1:0'
const SECOND = 'thing/a#1:2:0'

/** As its owner answers the end of the first. */
function second(): Outcome {
  const attempt = { taskId: SECOND, address: 'thing/a', name: 'work', attempt: 1, token: 'second' }
  const ok = { ...attempt, input: pack('second'), leaseMs: 30_000, onWorkerLost: 'rerun' }
  return { ok, durability: 'flushed' }
}

/** The owner has something next. */
function chains(): void {
  rig.script = (command) =>
    command.op === 'task.done' && command.taskId === FIRST ? second() : undefined
}

const ends = (count: number) =>
  until(() => rig.asked('task.done').length === count, SOON, `${count} ends`)
const offers = () => rig.asked('task.done').map(({ next }) => next)
const nothingLeft = () => until(() => rig.live().length === 0, SOON, 'the files to go')

/** Attempts of the task end when this is called; `count` of them run. */
function heldTask(name: string): { count: () => number; end: () => void } {
  let ends: (() => void)[] = []
  rig.task({ name, run: () => new Promise<void>((resolve) => ends.push(resolve)) })
  const end = () => {
    for (const one of ends) one()
    ends = []
  }
  return { count: () => ends.length, end }
}

describe('with a slot to spare', () => {
  it('it runs what begins with the end, without a question', async () => {
    chains()
    await rig.worker()
    rig.publish({ taskId: FIRST, name: 'work', input: 'first' })
    await ends(2)
    expect(ran).toEqual(['first', 'second'])
    expect(rig.asked('task.start')).toHaveLength(1)
    expect(rig.asked('task.done', SECOND)).toMatchObject([{ token: 'second', next: 'w1' }])
    await nothingLeft()
  })

  it('it has all its slots again where nothing is next', async () => {
    const worker = await rig.worker({ slots: 2 })
    for (const n of [1, 2, 3, 4, 5]) {
      rig.publish({ taskId: `thing/${n}#1:1:0`, name: 'work', input: n })
      await ends(n)
    }
    await nothingLeft()
    expect(worker.status()).toMatchObject({ running: [], refusals: [] })
  })
})

describe('the slot', () => {
  it('is held by what began with the end, and free again after that', async () => {
    const others = heldTask('others')
    const own = heldTask('work')
    chains()
    const worker = await rig.worker({ slots: 2 })
    const publish = (n: number) => rig.publish({ taskId: `thing/${n}#1:1:0`, name: 'others' })
    rig.publish({ taskId: FIRST, name: 'work' })
    await until(() => own.count() === 1, SOON, 'the first')
    own.end()
    await until(() => own.count() === 1 && rig.asked('task.done').length === 1, SOON, 'the second')
    expect(worker.status().refusals).toEqual([])
    for (const n of [1, 2]) publish(n)
    await until(() => others.count() === 1, SOON, 'one other')
    await holds(() => others.count() === 1, { forMs: 100 }, 'no second beside it')
    own.end()
    await until(() => others.count() === 2, SOON, 'the second other')
    others.end()
    await ends(4)
    for (const n of [3, 4]) publish(n)
    await until(() => others.count() === 2, SOON, 'two again')
    others.end()
    await nothingLeft()
  })

  it('is not kept from others while an owner is silent', async () => {
    const slots = 8
    const others = heldTask('others')
    rig.script = ({ op, address }) =>
      op === 'task.done' && address.startsWith('silent/') ? 'silence' : undefined
    const worker = await rig.worker({ slots })
    for (let n = 0; n < slots; n++) {
      rig.publish({ taskId: `silent/${n}#1:1:0`, name: 'work' })
      await until(() => rig.asked('task.done', `silent/${n}#1:1:0`).length > 0, SOON, 'an end')
    }
    for (let n = 0; n < slots; n++) rig.publish({ taskId: `thing/${n}#1:1:0`, name: 'others' })
    await until(() => others.count() === slots, SOON, 'all others')
    expect(offers()).toContain('w1')
    expect(worker.status().reporting).toBe(slots)
    rig.script = () => undefined
    others.end()
    await nothingLeft()
    expect(worker.status().refusals).toEqual([])
  })

  it('is offered once, and taken again by what the first try has begun', async () => {
    let isSilent = true
    const own = heldTask('work')
    rig.script = ({ op, taskId }) => {
      if (op !== 'task.done' || taskId !== FIRST) return undefined
      return isSilent ? 'silence' : second()
    }
    const worker = await rig.worker({ slots: 2 })
    rig.publish({ taskId: FIRST, name: 'work' })
    await until(() => own.count() === 1, SOON, 'the first')
    own.end()
    await until(() => rig.asked('task.done').length >= 3, SOON, 'more tries')
    isSilent = false
    await until(() => own.count() === 1, SOON, 'the second')
    expect(new Set(offers().slice(1))).toEqual(new Set([undefined]))
    expect(offers()[0]).toBe('w1')
    rig.publish({ taskId: 'thing/b#1:1:0', name: 'work' })
    await until(() => own.count() === 2, SOON, 'another')
    expect(worker.status().refusals.join()).toContain('2 of 2 slots')
    own.end()
    await nothingLeft()
    expect(worker.status().refusals).toEqual([])
  })
})

describe('a worker that stops', () => {
  it.each(['task.done', 'task.start'] as const)(
    'does not run what begins behind its back, with a %s that was under way',
    async (op) => {
      let isStopping = false
      rig.script = (command) => {
        if (command.op !== op) return undefined
        if (!isStopping) return 'silence'
        return op === 'task.start' || command.taskId === FIRST ? second() : undefined
      }
      const worker = await rig.worker({}, { stopReportMs: 4_000 })
      rig.publish({ taskId: FIRST, name: 'work', input: 'first' })
      await until(() => rig.asked(op).length > 0, SOON, 'the question')
      const stopped = worker.stop()
      const before = rig.asked(op).length
      // The one behind the abort of what ran.
      await until(() => rig.asked(op).length > before, SOON, 'the next try')
      isStopping = true
      await stopped
      expect(rig.asked('task.failed', SECOND)).toMatchObject([
        { failure: { class: 'temporary', code: 'worker-stopped' } },
      ])
      expect(ran).not.toContain('second')
    },
  )
})

it('an end that cannot be put away does not keep what began with it', async () => {
  rig.task({
    name: 'work',
    run: async ({ input, directory }) => {
      ran.push(input)
      // Where its journal is to be kept.
      if (input === 'first') mkdirSync(join(directory, 'journal', 'taken'), { recursive: true })
    },
  })
  chains()
  await rig.worker()
  rig.publish({ taskId: FIRST, name: 'work', input: 'first' })
  await ends(2)
  expect(ran).toEqual(['first', 'second'])
})

it('an end is kept while it is all that tells of what could not be put on disk', async () => {
  // Where the journal of the second is to be.
  const taken = join(rig.directory, 'live', '2')
  rig.task({ name: 'work', run: async () => void mkdirSync(taken) })
  rig.script = ({ op, taskId }) => {
    if (op === 'task.failed') return 'silence'
    return op === 'task.done' && taskId === FIRST ? second() : undefined
  }
  const worker = await rig.worker()
  rig.publish({ taskId: FIRST, name: 'work' })
  await until(() => rig.asked('task.failed', SECOND).length > 0, SOON, 'it to be given back')
  await worker.stop()
  rmdirSync(taken)
  // Its last try may still be under way.
  await holds(() => rig.live().length === 1, { forMs: 300 }, 'the end of the first')
})

describe('nothing begins here with an end', () => {
  it('of a worker outside a node, which starts nothing without a ticket', async () => {
    const bring = () => Promise.resolve({ stdout: 0, stderr: 0 })
    await rig.worker({ uploads: { bring } })
    rig.publish({ taskId: FIRST, name: 'work' })
    await ends(1)
    expect(offers()).toEqual([undefined])
  })

  it.each([
    ['that is held', (worker: Worker) => worker.hold('test', 'by the test')],
    ['that drains', (worker: Worker) => void worker.drain()],
  ])('of a worker %s', async (_what, act) => {
    const own = heldTask('work')
    const worker = await rig.worker()
    rig.publish({ taskId: FIRST, name: 'work' })
    await until(() => own.count() === 1, SOON, 'the attempt')
    act(worker)
    own.end()
    await ends(1)
    expect(offers()).toEqual([undefined])
  })

  it('of an attempt that was aborted, and ended well all the same', async () => {
    const run = ({ signal }: TaskAttempt<unknown>) =>
      new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    rig.task({ name: 'late', timeoutMs: 20, run })
    await rig.worker()
    rig.publish({ taskId: FIRST, name: 'late' })
    await ends(1)
    expect(offers()).toEqual([undefined])
  })

  it('where the slot is wanted by what waits in the queue', async () => {
    await rig.worker({ slots: 1 })
    rig.publish({ taskId: FIRST, name: 'work' })
    await ends(1)
    expect(offers()).toEqual([undefined])
  })

  it('of a task whose attempts are counted', async () => {
    rig.task({ name: 'counted', concurrency: 2, run: async () => undefined })
    await rig.worker()
    rig.publish({ taskId: FIRST, name: 'counted' })
    await ends(1)
    expect(offers()).toEqual([undefined])
  })

  it('that is a failure: its next try may be for another worker', async () => {
    rig.task({ name: 'fails', run: () => Promise.reject(new Error('no')) })
    await rig.worker()
    rig.publish({ taskId: FIRST, name: 'fails' })
    await until(() => rig.asked('task.failed').length === 1, SOON, 'the end')
    expect(rig.asked('task.failed')[0]).not.toHaveProperty('next')
  })

  it('while the same task of the actor runs here, which may have to end first', async () => {
    let end = () => {}
    const held = new Promise<void>((resolve) => {
      end = resolve
    })
    rig.task({ name: 'held', run: ({ input }) => (input === 'holds' ? held : Promise.resolve()) })
    await rig.worker()
    rig.publish({ taskId: SECOND, name: 'held', input: 'holds' })
    rig.publish({ taskId: FIRST, name: 'held' })
    await ends(1)
    end()
    await ends(2)
    expect(offers()).toEqual([undefined, 'w1'])
  })
})

describe('a kill -9 behind the commit of an end', () => {
  let files: AttemptFiles
  const record: AttemptRecord = {
    ...{ taskId: FIRST, address: 'thing/a', name: 'work', attempt: 1, token: 'first' },
    ...{ leaseMs: 30_000, onWorkerLost: 'rerun', startedAt: Date.now(), bootId: 'this' },
  }
  const commandId = formatCommandId(Date.now(), 'end')

  beforeEach(async () => {
    chains()
    files = new AttemptFiles(rig.directory)
    files.open()
    files.writeIntent('left', { taskId: FIRST, ticket: 't', commandId })
    await files.writeAttempt('left', record)
    files.writeResult('left', { commandId, result: { op: 'task.done', output: null } })
  })

  it('costs nothing: the same end is told again, and what began with it runs', async () => {
    await rig.worker()
    await ends(2)
    expect(rig.asked('task.done', FIRST)).toMatchObject([{ id: commandId }])
    expect(ran).toEqual(['second'])
    await nothingLeft()
  })

  it('gives it a slot', async () => {
    const own = heldTask('work')
    const worker = await rig.worker({ slots: 1 })
    await until(() => own.count() === 1, SOON, 'the second')
    expect(worker.status().refusals.join()).toContain('1 of 1 slots')
    own.end()
    await nothingLeft()
    expect(worker.status().refusals).toEqual([])
  })

  it('one that goes on here offers no slot: its queue may not be this worker’s any more', async () => {
    rig.task({ name: 'work', reattach: true, run: async () => undefined })
    rig.script = () => undefined
    files.retire('left')
    files.writeIntent('attached', { taskId: FIRST, ticket: 't', commandId })
    await files.writeAttempt('attached', record)
    await rig.worker()
    await ends(1)
    expect(rig.asked('task.attach')).toHaveLength(1)
    expect(offers()).toEqual([undefined])
  })

  it('asks by that command for an attempt of which only the intent is there', async () => {
    rig.script = (command) => (command.op === 'task.start' ? second() : undefined)
    files.writeIntent('next', { taskId: SECOND, ticket: '', commandId })
    await rig.worker()
    await ends(2)
    expect(rig.asked('task.start')).toMatchObject([{ taskId: SECOND, id: commandId }])
    expect(ran).toEqual(['second'])
  })

  it('runs nothing twice that has files of its own by then', async () => {
    files.writeIntent('next', { taskId: SECOND, ticket: '', commandId })
    await files.writeAttempt('next', { ...record, taskId: SECOND, token: 'second' })
    await rig.worker()
    await until(() => rig.asked('task.failed', SECOND).length === 1, SOON, 'its failure')
    await nothingLeft()
    await holds(() => ran.length === 0, { forMs: 100 }, 'nothing runs')
  })
})
