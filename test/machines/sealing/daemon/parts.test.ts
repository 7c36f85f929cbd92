/** Pieces of the daemon on their own: parts that fail, variables, what a ping counts, what a pool forgets. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { setup } from 'xstate'
import { z } from 'zod'
import { platform } from '../../../../machines/platform/index.ts'
import { setEnvironment } from '../../../../machines/sealing/daemon/environment.ts'
import { Part } from '../../../../machines/sealing/daemon/part.ts'
import { summaryOf } from '../../../../machines/sealing/daemon/pings.ts'
import { bringPool, placingOf, poolOf } from '../../../../machines/sealing/daemon/worker-pool.ts'
import type { ThreadRow } from '../../../../machines/sealing/thread/index.ts'
import {
  createNode,
  defineApp,
  defineMachine,
  openLog,
  systemClock,
} from '../../../../src/index.ts'
import { until } from '../../../waiting.ts'

const log = openLog({ level: 'silent' })
const deps = { clock: systemClock(), log }
const PATIENCE = { timeoutMs: 30_000 }
const holder = defineMachine({
  machine: setup({ types: { events: {} as { type: 'GRANTED' } } }).createMachine({
    id: 'holder',
    on: { GRANTED: {} },
  }),
  events: { GRANTED: z.looseObject({}) },
})
const VARIABLE = 'TROUPE_TEST_OF_CHILDREN'

afterEach(() => {
  delete process.env[VARIABLE]
})

it('tries a part again that could not be started, and says why meanwhile', async () => {
  let tries = 0
  let ended = 0
  const part = new Part(
    'x',
    async () => {
      tries += 1
      if (tries === 1) throw new Error('not yet')
      return () => {
        ended += 1
      }
    },
    deps,
  )
  await part.start()
  expect(part.report()).toMatchObject({
    part: 'x',
    state: 'down',
    problem: 'not yet',
    retryAt: expect.any(Number),
  })
  await until(
    () => part.isUp,
    PATIENCE,
    () => JSON.stringify(part.report()),
  )
  part.fail('it ended by itself')
  await until(
    () => ended === 1 && tries === 3,
    PATIENCE,
    () => JSON.stringify(part.report()),
  )
  expect(part.report()).toMatchObject({ state: 'up', problem: null })
  await part.stop()
  expect(ended).toBe(2)
  expect(part.report().state).toBe('stopped')
})

it('starts nothing again that was stopped', async () => {
  let tries = 0
  const start = async () => {
    tries += 1
    throw new Error('never')
  }
  const part = new Part('x', start, deps)
  await part.start()
  await part.stop()
  part.fail('too late')
  expect(part.report().state).toBe('stopped')
  expect(tries).toBe(1)
})

it('sets variables of children, but none that choose the code they run', () => {
  setEnvironment(VARIABLE, '1')
  expect(process.env[VARIABLE]).toBe('1')
  setEnvironment(VARIABLE, null)
  expect(process.env[VARIABLE]).toBeUndefined()
  const path = process.env['PATH']
  for (const name of [
    'LD_PRELOAD',
    'PATH',
    'NODE_OPTIONS',
    'PYTHONPATH',
    '_JAVA_OPTIONS',
    'GCONV_PATH',
    'OPENSSL_CONF',
    'OCL_ICD_VENDORS',
    'CUDA_INJECTION64_PATH',
  ])
    expect(() => setEnvironment(name, 'x')).toThrow('not to be set')
  // Which GPUs, and where the parameters lie, may be said.
  for (const name of ['CUDA_VISIBLE_DEVICES', 'FIL_PROOFS_PARAMETER_CACHE']) {
    setEnvironment(name, 'x')
    setEnvironment(name, null)
  }
  expect(() => setEnvironment('PATH', null)).toThrow('not to be set')
  expect(() => setEnvironment(VARIABLE, 'a\0b')).toThrow('NUL')
  expect(process.env['PATH']).toBe(path)
})

it('counts threads as the manager does', () => {
  const row = (given: Partial<ThreadRow>) =>
    ({
      sector: 's-t01000-1',
      condition: 'running',
      paused: false,
      errors: false,
      ...given,
    }) as ThreadRow
  const threads = [
    row({}),
    row({ condition: 'pausing' }),
    row({ condition: 'waiting' }),
    row({ condition: 'resting' }),
    row({ condition: 'parked', paused: true, errors: true }),
    row({ condition: 'paused', paused: true, sector: null }),
  ]
  expect(summaryOf(threads)).toEqual({
    Threads: 6,
    Empty: 1,
    Paused: 2,
    Errors: 1,
    Running: 2,
    Waiting: 1,
  })
})

it('brings its pool to what is configured, and takes back what nobody holds any more', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-daemon-pool-'))
  const holders = defineApp({ name: 'holders', machines: [holder] })
  const apps = [platform, holders]
  const node = await createNode({ dataDirectory: directory, apps, shardCount: 1 })
  try {
    const { client } = node
    const stage = 'stage.pc1'
    const pool = poolOf('w1')
    await bringPool(client, 'w1', { limits: { [stage]: 3 }, gaps: {}, choices: {} }, log)
    for (const id of ['here', 'gone']) {
      await client.start(`holder/${id}`)
      await client.send(pool, { type: 'ACQUIRE', holder: `holder/${id}`, stage })
    }
    await client.send(pool, { type: 'ACQUIRE', holder: 'somebody', stage })
    await client.delete('holder/gone')
    const wanted = { limits: { [stage]: 4 }, gaps: { [stage]: 50 }, choices: { pc1: [[stage]] } }
    await bringPool(client, 'w1', wanted, log)
    const { context } = await client.get(pool)
    expect(context).toMatchObject(wanted)
    const held = (context as { holders: { holder: string }[] }).holders
    expect(held.map((one) => one.holder)).toEqual(['holder/here', 'somebody'])
  } finally {
    await node.stop()
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  }
})

it('threads ask for places in the pool of the worker, by the names of its choices', () => {
  const choices = { pc2: [['stage.pc2']], pc1: [['stage.pc1', 'child.pc1.0']] }
  expect(placingOf('w1', { choices, limits: {}, gaps: {}, assumedLocks: [] })).toEqual({
    pool: poolOf('w1'),
    gates: ['pc1', 'pc2'],
  })
})
