/** Children that start badly, die and come back, and what the end of the daemon leaves. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { processorConfig } from '../../../../machines/sealing/processors/index.ts'
import { type Clock, systemClock } from '../../../../src/index.ts'
import { holds, until } from '../../../waiting.ts'
import { allReady, child, failureOf, isRunning, kindOf, laneIs, Rig, sizeOf } from './rig.ts'

const KEY = { key: 'store1' }
const PATIENT = { timeoutMs: 30_000 }
let rig: Rig

/** Knows how many of its calls are still to come. */
class CountingClock implements Clock {
  pending = 0
  readonly #clock = systemClock()

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  defer(call: () => void): void {
    this.#clock.defer(call)
  }

  after(delayMs: number, call: () => void): () => void {
    let isPending = true
    this.pending += 1
    const over = () => {
      if (isPending) this.pending -= 1
      isPending = false
    }
    const cancel = this.#clock.after(delayMs, () => {
      over()
      call()
    })
    return () => {
      over()
      cancel()
    }
  }
}

beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

describe('a child that is not ready', () => {
  it('in time is killed and started again, with what it said instead', async () => {
    const pidFile = rig.path('pids')
    const how = { neverReady: true, banner: 'hello', pidFile }
    const processors = rig.open({ pc1: [child('pc1', how, { stableWaitMs: 400 })] })
    await processors.start()
    const why = 'it said "hello", not "pc1 processor ready", within 400 ms'
    // On a busy machine the first ones do not come to saying it.
    await until(() => rig.logged.some((line) => line['why'] === why), PATIENT, 'it is told')
    await laneIs(processors, ({ restarts, lastError }) => restarts > 0 && lastError !== null)
    await processors.stop()
    expect(pidsOf(pidFile).filter(isRunning)).toEqual([])
  })

  it('for our stage but another is told so at once', async () => {
    const processors = rig.open({ pc1: [child('pc1', { claims: 'pc2' })] })
    await processors.start()
    await laneIs(processors, ({ lastError }) => lastError !== null)
    const { lastError } = processors.report()[0]!
    expect(lastError?.message).toBe('it is a processor of pc2, not of pc1')
  })

  it('at first may say something before', async () => {
    const processors = await rig.ready({ pc1: [child('pc1', { banner: 'v1.2 of pc1' })] })
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
    expect(rig.logged).toContainEqual(expect.objectContaining({ line: 'v1.2 of pc1' }))
  })

  it('holds up neither start-up nor the others', async () => {
    const missing = processorConfig.parse({ bin: rig.path('no-such-program') })
    const processors = rig.open({ pc1: [missing, child('pc1')], pc2: [missing] })
    await processors.start()
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
    await laneIs(processors, ({ restarts }) => restarts >= 2)
    expect(processors.report()[0]?.lastError?.message).toMatch(/cannot be started: .*ENOENT/)
  })

  it('is tried for ever, with waits that grow to a limit', async () => {
    const how = { deadUnless: rig.path('driver') }
    const processors = rig.open({ pc1: [child('pc1', how)] }, { random: () => 0.5 })
    await processors.start()
    const waits = () => rig.logged.flatMap(({ restartsInMs: ms }) => (ms === undefined ? [] : [ms]))
    await until(
      () => waits().length >= 5,
      PATIENT,
      () => `waits ${waits()}`,
    )
    expect(waits().slice(0, 5)).toEqual([20, 40, 80, 80, 80])
    rig.touch('driver')
    await allReady(processors)
    expect(processors.report()[0]).toMatchObject({ restartsAt: null })
  })
})

describe('a child that dies', () => {
  it('fails what it worked on, with its last words, and comes back', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    const other = kindOf(processors.run('pc1', { do: 'hang' }, { key: 'store2' }))
    const die = { do: 'die', code: 101, words: 'panicked at gpu.rs:12' }
    const error = await failureOf(processors.run('pc1', die, KEY))
    expect(error).toMatchObject({ kind: 'exited', lane: 'child.pc1.0' })
    expect(error.message).toMatch(
      /^child process exited: pc1 \(pid \d+\): exit code 101; it said: panicked at gpu.rs:12$/,
    )
    expect(await other).toBe('exited')
    await processors.quiet('store1')
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
    expect(rig.troubles).toMatchObject([{ lane: 'child.pc1.0', kind: 'down' }])
  })

  it('after it was well for long is started again soon', async () => {
    const limits = { steadyMs: 0 }
    const deps = { limits, random: () => 0.5 }
    const processors = await rig.ready({ pc1: [child('pc1')] }, deps)
    for (let death = 0; death < 3; death++) {
      await failureOf(processors.run('pc1', { do: 'die', code: 1 }, KEY))
    }
    const waits = rig.logged.flatMap(({ restartsInMs: ms }) => (ms === undefined ? [] : [ms]))
    expect(waits).toEqual([20, 20, 20])
  })

  it('is started a little sooner or later than another that died with it', async () => {
    const limits = { restartMinMs: 1_000, restartMaxMs: 1_000 }
    const rolls = [0, 0.75]
    const deps = { limits, random: () => rolls.shift() ?? 0.5 }
    const processors = await rig.ready({ pc1: [child('pc1'), child('pc1')] }, deps)
    for (const lane of ['child.pc1.0', 'child.pc1.1']) {
      await failureOf(processors.run('pc1', { do: 'die', code: 1 }, { ...KEY, lane }))
    }
    const waits = rig.logged.flatMap(({ restartsInMs: ms }) => (ms === undefined ? [] : [ms]))
    expect(waits).toEqual([800, 1_100])
  })

  it('cannot be counted on until the next one is ready, and whoever watches is told', async () => {
    const how = { deadUnless: rig.touch('driver') }
    const processors = await rig.ready({ pc1: [child('pc1', how)], pc2: [child('pc2')] })
    const told: string[][] = []
    processors.watch((lanes) => told.push([...lanes]))
    rmSync(rig.path('driver'))
    await failureOf(processors.run('pc1', { do: 'die', code: 1 }, KEY))
    expect(told).toEqual([['child.pc1.0']])
    // However often it dies while it starts.
    await laneIs(processors, ({ restarts }) => restarts >= 2)
    await processors.run('pc2', { do: 'echo', value: 1 }, KEY)
    expect(told).toHaveLength(1)
    rig.touch('driver')
    await allReady(processors)
    expect(told).toEqual([['child.pc1.0'], []])
    await processors.stop()
    expect(told).toHaveLength(2)
  })

  it('stays down where it is not to be restarted', async () => {
    const processors = await rig.ready({ pc1: [child('pc1', {}, { autoRestart: false })] })
    await failureOf(processors.run('pc1', { do: 'die', code: 1 }, KEY))
    await laneIs(processors, ({ state }) => state === 'stopped')
    expect(processors.report()[0]).toMatchObject({ pid: null, rssBytes: null })
    await holds(
      () => processors.report()[0]?.state === 'stopped',
      { forMs: 100 },
      'it is not started again',
    )
  })

  it('is not used while nobody could find it after a crash', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    rmSync(rig.ledgerDirectory, { recursive: true })
    await failureOf(processors.run('pc1', { do: 'die', code: 1 }, KEY))
    await laneIs(processors, ({ lastError }) =>
      /^it cannot be written down: ENOENT/.test(lastError?.message ?? ''),
    )
    mkdirSync(rig.ledgerDirectory)
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
  })

  it('counts as dead when it closes its output', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    const error = await failureOf(processors.run('pc1', { do: 'close-output' }, KEY))
    expect(error).toMatchObject({ kind: 'exited' })
    expect(error.message).toContain('it closed its output')
  })

  it('counts as dead when it closes its input', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    await processors.run('pc1', { do: 'close-input' }, KEY)
    const error = await failureOf(processors.run('pc1', { do: 'pid' }, KEY))
    expect(error.message).toContain('it closed its input')
  })

  it('takes no more requests while it dies', async () => {
    const processors = await rig.ready({ pc1: [child('pc1', { ignoresTerm: true })] })
    const lost = kindOf(processors.run('pc1', { do: 'close-output' }, KEY))
    await laneIs(processors, ({ state, pid }) => state === 'restarting' && pid !== null)
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
    expect(await lost).toBe('exited')
  })

  it('takes the processes with it that it started', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    const file = rig.path('sealed')
    expect(await kindOf(processors.run('pc1', { do: 'leave', file }, KEY))).toBe('exited')
    await processors.quiet('store1')
    const bytes = sizeOf(file)
    await holds(() => sizeOf(file) === bytes, { forMs: 60 }, 'nobody writes any more')
  })
})

describe('the environment of a child', () => {
  const ask = { do: 'env', name: 'SECTOR_TEST' }

  it('is that of the daemon at its start, with its own over it', async () => {
    const env: NodeJS.ProcessEnv = { ...process.env, SECTOR_TEST: 'daemon' }
    // With a lock of its own neither stands in for the other.
    const own = { envs: { SECTOR_TEST: 'own' }, locks: ['own'] }
    const processors = await rig.ready({ pc1: [child('pc1'), child('pc1', {}, own)] }, { env })
    expect(await processors.run('pc1', ask, { ...KEY, lane: 'child.pc1.0' })).toBe('daemon')
    expect(await processors.run('pc1', ask, { ...KEY, lane: 'child.pc1.1' })).toBe('own')
    env['SECTOR_TEST'] = 'changed'
    const die = { do: 'die', code: 1 }
    await failureOf(processors.run('pc1', die, { ...KEY, lane: 'child.pc1.0' }))
    expect(await processors.run('pc1', ask, { ...KEY, lane: 'child.pc1.0' })).toBe('changed')
  })

  it('is nothing else where it inherits nothing', async () => {
    const env: NodeJS.ProcessEnv = { ...process.env, SECTOR_TEST: 'daemon' }
    const config = child('pc1', {}, { inheritEnvs: false })
    const processors = await rig.ready({ pc1: [config] }, { env })
    expect(await processors.run('pc1', ask, KEY)).toBe('unset')
  })
})

describe('the end of the daemon', () => {
  it('ends all children, even those that do not listen, and all requests', async () => {
    const pidFile = rig.path('pids')
    const config = child('pc1', { ignoresTerm: true, pidFile }, { concurrent: 1 })
    const processors = await rig.ready({ pc1: [config], pc2: [child('pc2', { pidFile })] })
    const running = kindOf(processors.run('pc1', { do: 'hang' }, KEY))
    const waiting = kindOf(processors.run('pc1', { do: 'hang' }, KEY))
    await Promise.all([processors.stop(), processors.stop()])
    expect([await running, await waiting]).toEqual(['exited', 'unhealthy'])
    expect(pidsOf(pidFile)).toHaveLength(2)
    expect(pidsOf(pidFile).filter(isRunning)).toEqual([])
    expect(readdirSync(rig.ledgerDirectory)).toEqual([])
    expect(await kindOf(processors.run('pc1', { do: 'pid' }, KEY))).toBe('unhealthy')
    expect(processors.report().map(({ state }) => state)).toEqual(['stopped', 'stopped'])
  })

  it('while children are starting or waiting to start ends them as well', async () => {
    const pidFile = rig.path('pids')
    const slow = child('pc1', { neverReady: true, pidFile })
    const dead = child('pc2', { dies: 1 })
    const limits = { restartMinMs: 60_000, restartMaxMs: 60_000 }
    const processors = rig.open({ pc2: [dead], pc1: [slow] }, { limits })
    await processors.start()
    await laneIs(processors, ({ state }) => state === 'restarting')
    await until(() => existsSync(pidFile), PATIENT, 'it runs')
    await processors.stop()
    expect(pidsOf(pidFile).filter(isRunning)).toEqual([])
  })

  it('leaves no timer that would keep the daemon from exiting', async () => {
    const clock = new CountingClock()
    const limits = { restartMinMs: 60_000, restartMaxMs: 60_000 }
    const configs = { pc1: [child('pc1')], pc2: [child('pc2', { dies: 1 })] }
    const processors = rig.open(configs, { clock, limits })
    await processors.start()
    await laneIs(processors, ({ state }) => state === 'ready')
    await until(() => processors.report()[1]?.state === 'restarting', PATIENT, 'the other is down')
    const late = kindOf(processors.run('pc1', { do: 'hang' }, { ...KEY, timeoutMs: 60_000 }))
    const waiting = kindOf(processors.run('pc2', { do: 'hang' }, KEY))
    expect(clock.pending).toBeGreaterThanOrEqual(3)
    await processors.stop()
    expect([await late, await waiting]).toEqual(['exited', 'unhealthy'])
    expect(clock.pending).toBe(0)
  })
})

function pidsOf(file: string): number[] {
  return readFileSync(file, 'utf8').trim().split('\n').map(Number)
}
