/** What steps need of this machine, at its end: nothing works on a store that has been let go. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { parseWorkerConfig } from '../../../../machines/sealing/daemon/config.ts'
import { StepWork } from '../../../../machines/sealing/daemon/step-work.ts'
import { ManagerClient } from '../../../../machines/sealing/manager/index.ts'
import { StepRunner } from '../../../../machines/sealing/steps/index.ts'
import { holdStore } from '../../../../machines/sealing/stores/index.ts'
import {
  runnerOf,
  type StepInput,
  type StepOutcome,
} from '../../../../machines/sealing/thread/index.ts'
import { openLog, systemClock } from '../../../../src/index.ts'

const OUTCOME: StepOutcome = { kind: 'rest', reason: 'idle', afterMs: 1, why: 'cut' }
const CONTEXT = {
  ...{ taskId: 't', directory: '', signal: new AbortController().signal },
  ...{ progress: () => {}, log: () => {} },
}
const clock = systemClock()
let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-step-work-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
})

async function begin(): Promise<StepWork> {
  const text = `
[worker]
name = "w1"
[sector_manager]
rpc_client.addr = "http://127.0.0.1:9"
[[attached]]
location = "${directory}"
[[sealing_thread]]
location = "${join(directory, 'a')}"
[troupe]
data = "${join(directory, 'data')}"
`
  const config = parseWorkerConfig(text, join(directory, 'worker.toml'))
  const work = new StepWork({
    ...{ config, worker: 'w1', clock, log: openLog({ level: 'silent' }) },
    manager: new ManagerClient({ address: config.manager.addr, headers: {} }),
    random: { fraction: Math.random, id: () => 'x' },
    onStoreUp: () => {},
  })
  await work.start()
  return work
}

function input(): StepInput {
  const location = join(directory, 'a')
  return { location, plan: 'sealer', state: 'TicketAssigned', waitedMs: 1_500 } as StepInput
}

it('cuts what runs when it stops, and holds the stores until that has ended', async () => {
  let isCut = false
  let end = () => {}
  vi.spyOn(StepRunner.prototype, 'run').mockImplementation(async (_input, { signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    isCut = true
    await new Promise<void>((resolve) => {
      end = resolve
    })
    return OUTCOME
  })
  const work = await begin()
  const step = runnerOf('w1')?.(input(), CONTEXT)
  let hasStopped = false
  const stopped = work.stop().then(() => {
    hasStopped = true
  })
  await vi.waitFor(() => expect(isCut).toBe(true), { timeout: 10_000 })
  await work.processors.stop()
  await new Promise((resolve) => setImmediate(resolve))
  expect(hasStopped).toBe(false)
  expect(() => holdStore(join(directory, 'a'), { clock })).toThrow()
  end()
  await stopped
  expect(await step).toEqual(OUTCOME)
  holdStore(join(directory, 'a'), { clock }).release()
  expect(runnerOf('w1')).toBeUndefined()
})

it('counts how long a step waited', async () => {
  vi.spyOn(StepRunner.prototype, 'run').mockResolvedValue(OUTCOME)
  const work = await begin()
  try {
    await runnerOf('w1')?.(input(), CONTEXT)
    expect(await work.metrics.text()).toContain('sealing_step_waiting_seconds_sum{stage="PC1"} 1.5')
  } finally {
    await work.stop()
  }
})

it('cuts what runs in a store that another one took, and takes it again when it can', async () => {
  vi.spyOn(StepRunner.prototype, 'run').mockImplementation(async (_input, { signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    throw signal.reason
  })
  const work = await begin()
  try {
    const step = runnerOf('w1')?.(input(), CONTEXT)
    const why = expect.stringContaining(`its store ${join(directory, 'a')} was lost: `)
    const cut = expect(step).resolves.toMatchObject({ kind: 'rest', reason: 'worker-down', why })
    // As whoever took it for dead leaves it, and ends.
    rmSync(join(directory, 'a', 'holder'))
    await cut
    const store = () => work.reports().find(({ part }) => part.startsWith('store '))
    await vi.waitFor(() => expect(store()?.state).toBe('down'), { timeout: 10_000 })
    expect(await runnerOf('w1')?.(input(), CONTEXT)).toMatchObject({ reason: 'worker-down' })
    await vi.waitFor(() => expect(store()?.state).toBe('up'), { timeout: 10_000 })
  } finally {
    await work.stop()
  }
}, 30_000)

it('asks for the directory of an attempt only where there is no store', async () => {
  const asked: string[] = []
  const context = {
    ...CONTEXT,
    get directory() {
      asked.push('directory')
      return join(directory, 'attempt')
    },
  }
  const work = await begin()
  try {
    const state = { ...input(), record: {}, granted: [], reported: null, rests: 0 }
    await runnerOf('w1')?.({ ...state, state: 'TreeDBuilt' } as StepInput, context)
    expect(asked).toEqual([])
    const stateless = { ...state, location: null, plan: 'wdpost', state: 'Empty' }
    await runnerOf('w1')?.(stateless as StepInput, context).catch(() => undefined)
    expect(asked).toEqual(['directory'])
  } finally {
    await work.stop()
  }
})
