/** A farm of real processes: a node with the manager, a worker, and kill -9 of both. */
import { afterEach, expect, it } from 'vitest'
import { until } from '../../../waiting.ts'
import { Farm, type FarmOptions } from './farm.ts'
import { judge, sectorsOf } from './judge.ts'

const PATIENT = { timeoutMs: 90_000, every: 200 }

let farm: Farm | undefined

afterEach(async () => {
  await farm?.close()
  farm = undefined
})

async function started(options: FarmOptions): Promise<Farm> {
  farm = await Farm.create(options)
  await farm.start()
  return farm
}

function finished(of: Farm, count: number): Promise<unknown> {
  return until(
    async () => {
      const all = await sectorsOf(of).catch(() => [])
      return all.filter(({ standing }) => standing === 'finalized').length >= count
    },
    PATIENT,
    () => `${count} sectors finished; the worker wrote ${of.worker.output.slice(-2_000)}`,
  )
}

it('kill -9 of the worker and of the node loses no sector, and a drained worker ends', async () => {
  const one = await started({ threads: 2 })
  await finished(one, 1)
  await one.worker.end('SIGKILL')
  one.worker.start()
  await one.workerServes()
  await one.killNode(0)
  one.startNode(0)
  await one.nodeServes(0)
  await finished(one, 3)
  await one.rpc('WorkerDrain', [{ by: 'the test' }])
  expect(await one.worker.ended).toBe(0)
  const all = await sectorsOf(one)
  // Its node has the histories.
  one.worker.start()
  await one.workerServes()
  const { wrong, finished: done } = await judge(one, { workerKills: 1, resumes: new Map() }, all)
  expect(wrong).toEqual([])
  expect(done).toBeGreaterThanOrEqual(3)
}, 180_000)
