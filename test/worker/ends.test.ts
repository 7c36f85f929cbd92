/** Ends of tasks that their owner does not answer for: they hold no slots, but do not gather for ever. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { holds, until } from '../waiting.ts'
import { WorkerRig } from './rig.ts'

const SLOTS = 2
const ENDS_MAX = 8
const COUNT = 20
const SOON = { timeoutMs: 10_000 }

let rig: WorkerRig

beforeEach(async () => {
  rig = await WorkerRig.create()
})

afterEach(() => rig.close())

it('nothing new is begun while too many ends have not been told, and all is once they are', async () => {
  rig.task({ name: 'quick', run: async () => 'ran' })
  rig.script = ({ op }) => (op === 'task.done' ? 'silence' : undefined)
  const worker = await rig.worker({ slots: SLOTS })
  for (let n = 0; n < COUNT; n++) rig.publish({ taskId: `thing/${n}#1:1:0`, name: 'quick' })
  const status = () => worker.status()
  await until(() => status().reporting >= ENDS_MAX, SOON, 'ends that nobody takes')
  const isBounded = () => status().reporting < ENDS_MAX + SLOTS
  await holds(isBounded, { forMs: 300 }, () => `few ends; there are ${status().reporting}`)
  expect(status().refusals.join()).toContain('have not been told yet')
  expect(rig.taskQueue.depth('q')).toBeGreaterThan(COUNT / 4)
  rig.script = () => undefined
  const ended = () => new Set(rig.asked('task.done').map(({ taskId }) => taskId)).size
  await until(() => ended() === COUNT && status().reporting === 0, SOON, 'all of them')
  expect(status().refusals).toEqual([])
})
