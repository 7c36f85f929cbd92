/** A command that is replaced: what takes its place waits until its process group is gone. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { AnyTask } from '../../src/machine/index.ts'
import { errorRecord, pack } from '../../src/protocol/index.ts'
import { runProcess } from '../../src/worker/index.ts'
import { until } from '../waiting.ts'
import { lives } from './process/runs.ts'
import { refused, WorkerRig } from './rig.ts'

const SOON = { timeoutMs: 8_000 }
const FIRST = 'thing/a#1:1:0'
const SECOND = 'thing/a#1:2:0'
const GRACE_MS = 700

let rig: WorkerRig
let witness: string

beforeEach(async () => {
  rig = await WorkerRig.create()
  witness = join(rig.directory, 'witness')
  rig.task(command('work'))
})

afterEach(() => rig.close())

/** The input is what the shell runs. */
function command(name: string): AnyTask {
  return {
    name,
    reattach: true,
    run: (attempt) => runProcess(attempt, { command: { shell: attempt.input as string } }),
  }
}

const newWorker = () => rig.worker({}, { killGraceMs: GRACE_MS })

/** Never ends when it is asked to. */
const stubborn = () => `trap '' TERM; echo $$ >'${witness}'; while :; do sleep 0.05; done`
/** Says whether the first one lives. */
const looking = () =>
  `kill -0 $(head -n 1 '${witness}') 2>/dev/null && echo beside >>'${witness}' || echo after >>'${witness}'`

const said = async () => (await readFile(witness, 'utf8').catch(() => '')).split('\n')

async function begin(taskId: string, shell: string, name = 'work'): Promise<void> {
  rig.publish({ taskId, name, input: shell, onWorkerLost: 'park' })
}

async function firstBegins(): Promise<number> {
  await begin(FIRST, stubborn())
  return until(async () => Number((await said())[0]), SOON, 'the first command')
}

const secondSays = () => until(async () => (await said())[1], SOON, 'the second command')

it('a command that is wanted again at once begins when the one before is gone', async () => {
  await newWorker()
  await firstBegins()
  rig.cancel(FIRST)
  await begin(SECOND, looking())
  expect(await secondSays()).toBe('after')
  expect(rig.asked('task.start').map(({ taskId }) => taskId)).toEqual([FIRST, SECOND])
})

it('a cancel that was lost changes nothing: the owner is asked about what runs', async () => {
  await newWorker()
  await firstBegins()
  rig.script = (one) => (one.taskId === FIRST ? refused('task-gone')(one) : undefined)
  await begin(SECOND, looking())
  expect(await secondSays()).toBe('after')
})

it('nor does an owner that does not answer: nothing begins before it does', async () => {
  await newWorker()
  const pid = await firstBegins()
  rig.script = (one) => (one.taskId === FIRST ? 'silence' : undefined)
  await begin(SECOND, looking())
  await until(() => rig.asked('task.beat', FIRST).length >= 2, SOON, 'it to be asked again')
  expect(rig.asked('task.start', SECOND)).toEqual([])
  expect(await lives(pid)).toBe(true)
  rig.script = (one) =>
    one.taskId === FIRST ? { error: errorRecord('task-stale', 'given up') } : undefined
  expect(await secondSays()).toBe('after')
})

it('a worker that was restarted ends first what its earlier process ran', async () => {
  const before = await newWorker()
  await firstBegins()
  await before.stop()
  rig.script = (one) => (one.taskId === FIRST ? refused('task-gone')(one) : undefined)
  await begin(SECOND, looking())
  await newWorker()
  expect(await secondSays()).toBe('after')
})

it('so it does when its owner is slow to say that it is not wanted any more', async () => {
  const before = await newWorker()
  await firstBegins()
  await before.stop()
  let isSilent = true
  rig.script = (one) => {
    if (one.taskId !== FIRST) return undefined
    return isSilent ? 'silence' : refused('task-gone')(one)
  }
  await begin(SECOND, looking())
  await newWorker()
  await until(() => rig.asked('task.attach', FIRST).length >= 2, SOON, 'two questions')
  expect(rig.asked('task.start', SECOND)).toEqual([])
  isSilent = false
  expect(await secondSays()).toBe('after')
})

it('two that are both wanted run side by side, and so do other tasks of the actor', async () => {
  rig.task(command('other'))
  await newWorker()
  await firstBegins()
  await begin(SECOND, looking())
  expect(await secondSays()).toBe('beside')
  rig.cancel(FIRST)
  await begin('thing/a#1:3:0', looking(), 'other')
  await until(async () => (await said())[2] === 'beside', SOON, 'the other task')
})

it('what begins with the end of another waits as well, for one that came meanwhile', async () => {
  const THIRD = 'thing/a#1:3:0'
  let isSilent = true
  rig.script = (one) => {
    if (one.op !== 'task.done' || one.taskId !== FIRST) return undefined
    if (isSilent) return 'silence'
    const attempt = { taskId: SECOND, address: 'thing/a', name: 'work', attempt: 1, token: 'next' }
    const ok = { ...attempt, input: pack(looking()), leaseMs: 30_000, onWorkerLost: 'park' }
    return { ok, durability: 'flushed' }
  }
  await newWorker()
  await begin(FIRST, ':')
  await until(() => rig.asked('task.done', FIRST).length > 0, SOON, 'the end of the first')
  await begin(THIRD, stubborn())
  await until(async () => Number((await said())[0]), SOON, 'the third')
  rig.cancel(THIRD)
  isSilent = false
  expect(await secondSays()).toBe('after')
})

it('one that is about to begin its command is asked about as well', async () => {
  let go = () => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const slow = command('slow')
  rig.task({
    ...slow,
    run: async (attempt) => {
      if (attempt.taskId === FIRST) await gate
      return slow.run(attempt)
    },
  })
  await newWorker()
  await begin(FIRST, stubborn(), 'slow')
  await until(() => rig.asked('task.start', FIRST).length === 1, SOON, 'the first to be started')
  rig.script = (one) => (one.taskId === FIRST ? refused('task-gone')(one) : undefined)
  await begin(SECOND, looking(), 'slow')
  await until(() => rig.asked('task.beat', FIRST).length === 1, SOON, 'it to be asked about')
  go()
  expect(await until(async () => (await said())[0], SOON, 'the second')).toBe('after')
})
