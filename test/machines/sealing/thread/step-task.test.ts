/** The task of a step: who runs it in this process, and what becomes of its end. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  registerRunner,
  type StepInput,
  type StepOutcome,
  type StepRun,
  sealingStep,
  stepError,
} from '../../../../machines/sealing/thread/index.ts'
import { TaskError } from '../../../../src/machine/index.ts'

const INPUT = { worker: 'w1', thread: 'w1~a', state: 'PC1Done' } as StepInput
const DONE: StepOutcome = { kind: 'done', event: 'PC2', record: {}, workMs: 3 }

let unregister = () => {}
let controller: AbortController

beforeEach(() => {
  controller = new AbortController()
})
afterEach(() => unregister())

function run(input = INPUT): Promise<unknown> {
  const attempt = { input, taskId: 't1', signal: controller.signal }
  return sealingStep.troupeTask.run(attempt as never)
}

const runner = (work: StepRun) => {
  unregister = registerRunner('w1', work)
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  return thrown instanceof TaskError ? thrown.failure : thrown
}

it('hands input and context on, and adds when it began and ended', async () => {
  const seen: unknown[] = []
  runner((input, { taskId, signal }) => {
    seen.push(input, taskId, signal)
    return Promise.resolve(DONE)
  })
  const times = { startedAt: expect.any(Number), at: expect.any(Number) }
  expect(await run()).toEqual({ ...DONE, ...times })
  expect(seen).toEqual([{ ...INPUT, waitedMs: 0 }, 't1', controller.signal])
})

it('tells how long it was waited for, whatever the clocks of others say', async () => {
  const waited: number[] = []
  runner((input) => {
    waited.push(input.waitedMs)
    return Promise.resolve(DONE)
  })
  await run({ ...INPUT, waitingSince: Date.now() - 5_000 })
  await run({ ...INPUT, waitingSince: Date.now() + 5_000 })
  expect(waited).toEqual([expect.closeTo(5_000, -3), 0])
})

it('times that the step knows itself stay, as of an outcome that was kept over a crash', async () => {
  runner(() => Promise.resolve({ ...DONE, startedAt: 5, at: 6 }))
  expect(await run()).toEqual({ ...DONE, startedAt: 5, at: 6 })
})

it('without its daemon it rests, and no try is used up', async () => {
  expect(await run()).toMatchObject({ kind: 'rest', reason: 'worker-down' })
})

it('a failure keeps its level; for the platform all are temporary, and none is tried again', async () => {
  runner(() => Promise.reject(stepError('abort', 'rejected')))
  const detail = { level: 'abort', startedAt: expect.any(Number), at: expect.any(Number) }
  const abort = { class: 'temporary', code: 'step-abort', message: 'rejected', detail }
  expect(await failureOf(run())).toEqual(abort)
  expect(sealingStep.troupeTask.retry).toEqual({ attemptsMax: 1 })
})

it.each([
  [new Error('EIO'), 'temporary', 'EIO'],
  ['a text', 'temporary', 'a text'],
  [new TaskError('permanent', 'no'), 'permanent', 'no'],
  [new TaskError('aborted', 'gone'), 'abort', 'gone'],
])('of anything else that is thrown the thread is told: %s', async (thrown, level, message) => {
  runner(() => Promise.reject(thrown))
  const told = { class: 'temporary', message, detail: { level } }
  expect(await failureOf(run())).toMatchObject(told)
})

it('what is no longer wanted has no end', async () => {
  const reason = new Error('cancelled')
  runner((_input, { signal }) => {
    controller.abort(reason)
    signal.throwIfAborted()
    return Promise.resolve(DONE)
  })
  expect(await failureOf(run())).toBe(reason)
})

it('a worker has one runner in a process', () => {
  runner(() => Promise.resolve(DONE))
  expect(() => registerRunner('w1', () => Promise.resolve(DONE))).toThrow('runs the steps')
  unregister()
  runner(() => Promise.resolve(DONE))
})
