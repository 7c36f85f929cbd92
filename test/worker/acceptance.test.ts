import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TroupeError } from '../../src/protocol/index.ts'
import { type HostFigures, hostFigures, Reports, refusalOf } from '../../src/worker/index.ts'
import type { WorkerOrder } from '../../src/worker/remote/index.ts'
import { holds, until } from '../waiting.ts'
import { silentLog } from './process/real-time.ts'
import { WorkerRig } from './rig.ts'

const MB = 1024 ** 2

describe('what a machine can take', () => {
  const busy: HostFigures = { load: 6.5, memoryFreeBytes: 100 * MB }

  it('names the limit that is exceeded, with both numbers', () => {
    expect(refusalOf({ loadMax: 6 }, busy)).toBe('load: 6.50 is above 6 (--load-max)')
    expect(refusalOf({ memoryMinBytes: 101 * MB }, busy)).toBe(
      'memory: 100 MB available, less than 101 MB (--memory-min)',
    )
  })

  it('takes everything within its limits, and without any', () => {
    expect(refusalOf({ loadMax: 6.5, memoryMinBytes: 100 * MB }, busy)).toBeUndefined()
    expect(refusalOf({}, busy)).toBeUndefined()
  })

  it('is measured', () => {
    const { load, memoryFreeBytes } = hostFigures()
    expect(load).toBeGreaterThanOrEqual(0)
    expect(memoryFreeBytes).toBeGreaterThan(MB)
  })
})

describe('a worker that is held', () => {
  let rig: WorkerRig
  const ran: string[] = []

  beforeEach(async () => {
    rig = await WorkerRig.create()
    ran.length = 0
    rig.task({
      name: 'work',
      run: async ({ taskId }) => {
        ran.push(taskId)
      },
    })
  })
  afterEach(() => rig.close())

  const publish = (n: number) => rig.publish({ taskId: `a/1#1:${n}:0`, name: 'work' })

  it('asks for nothing until all who hold it let go', async () => {
    const worker = await rig.worker()
    worker.hold('operator', 'offline: by hand')
    worker.hold('machine', 'load: 9')
    publish(1)
    worker.release('operator')
    await holds(() => ran.length === 0, { forMs: 100 }, 'nothing runs')
    expect(worker.status().refusals).toEqual(['load: 9'])
    worker.release('machine')
    await until(() => ran.length === 1, { timeoutMs: 20_000 }, 'it runs')
    expect(worker.status().refusals).toEqual([])
  })

  it('does what the answer to its report says, and keeps to it while no answer comes', async () => {
    const worker = await rig.worker()
    let answer: () => Promise<WorkerOrder> = async () => ({ admitted: false, reason: 'offline: x' })
    const { clock } = rig
    const send = async () => ({ ...(await answer()), reportMs: 20 })
    const reports = new Reports({
      worker,
      address: '',
      version: '1',
      send,
      clock,
      log: silentLog,
    })
    reports.start()
    await until(
      () => worker.status().refusals.includes('offline: x'),
      { timeoutMs: 20_000 },
      'it is held',
    )
    answer = async () => Promise.reject(new Error('cut off'))
    publish(1)
    await holds(() => ran.length === 0, { forMs: 150 }, 'nothing runs')
    answer = async () => ({ admitted: true })
    await until(() => ran.length === 1, { timeoutMs: 20_000 }, 'it runs')
    reports.stop()
  })

  it('takes nothing and says so while it is refused for good, and while it is cut off takes what comes', async () => {
    const worker = await rig.worker()
    const lost: string[] = []
    let answer: () => Promise<WorkerOrder>
    const refused = (code: 'conflict' | 'unavailable') => async () =>
      Promise.reject(new TroupeError(code, `${code}: so it is`))
    answer = async () => ({ admitted: true, reportMs: 20 })
    const reports = new Reports({
      ...{ worker, address: '', version: '1', clock: rig.clock, log: silentLog },
      send: () => answer(),
      lost: ({ message }) => lost.push(message),
    })
    await reports.sendNow()
    reports.start()
    answer = refused('unavailable')
    publish(1)
    await until(() => ran.length === 1, { timeoutMs: 20_000 }, 'it runs')
    expect(lost).toEqual([])
    answer = refused('conflict')
    await until(() => lost.length > 0, { timeoutMs: 20_000 }, 'it is told')
    expect(worker.status().refusals).toEqual(['conflict: so it is'])
    publish(2)
    await holds(() => ran.length === 1, { forMs: 100 }, 'nothing runs')
    answer = async () => ({ admitted: true })
    await until(() => ran.length === 2, { timeoutMs: 20_000 }, 'it runs again')
    reports.stop()
  })
})
