/** The watchdog ends a command whose worker stays away, and only that. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { processStat } from '../../../src/worker/process/identity.ts'
import { Heartbeat } from '../../../src/worker/process/index.ts'
import { eventually, realClock, silentLog } from './real-time.ts'
import { lives, Runs } from './runs.ts'

let runs: Runs
beforeAll(async () => {
  runs = await Runs.create()
})
afterAll(() => runs.close())

const orphanMs = 1_000

async function beat(name: string): Promise<{ heartbeat: Heartbeat; file: string }> {
  const file = join(runs.root, 'beats', name)
  const heartbeat = new Heartbeat({ clock: realClock, log: silentLog, file, orphanMs })
  await heartbeat.start()
  return { heartbeat, file }
}

/** The processes of a session. */
async function session(id: number): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
  return pids.filter((pid) => processStat(pid)?.sessionId === id)
}

// Most of it is waiting, and each has a command of its own.
describe.concurrent('orphanMs', () => {
  it('spares a command while the heartbeat beats and ends its group when it stops', async () => {
    const { heartbeat, file } = await beat('a')
    const shell = 'sleep 60 & echo $!; trap "" TERM; while :; do sleep 0.1; done'
    const spec = { command: { shell }, orphanMs, heartbeatFile: file, groupGraceMs: 200 }
    const run = await runs.start('a', spec)
    const pid = (await run.whenStarted()) ?? 0
    let over = false
    const exit = run.exit().finally(() => {
      over = true
    })
    const spareUntil = performance.now() + 3 * orphanMs
    await eventually('three times orphanMs', () => performance.now() > spareUntil)
    expect(over).toBe(false)
    const child = Number(await runs.text('a', 'stdout'))
    heartbeat.stop()
    const stopped = performance.now()
    expect(await exit).toMatchObject({ signal: 'SIGKILL', reason: 'orphaned' })
    expect(performance.now() - stopped).toBeGreaterThan(0.7 * orphanMs)
    expect(performance.now() - stopped).toBeLessThan(4 * orphanMs)
    expect([await lives(pid), await lives(child)]).toEqual([false, false])
  }, 20_000)

  it('takes a missing heartbeat for a stopped one, also without this worker', async () => {
    const { heartbeat, file } = await beat('b')
    heartbeat.stop()
    await rm(file)
    const spec = { command: { argv: ['sleep', '60'] }, orphanMs, heartbeatFile: file }
    const run = await runs.start('b', spec)
    run.detach()
    const attached = await eventually('the claim', () => runs.attach('b'))
    expect(await attached.exit()).toMatchObject({ signal: 'SIGTERM', reason: 'orphaned' })
  }, 20_000)

  it('leaves no watchdog behind when the command ends', async () => {
    const { heartbeat, file } = await beat('c')
    const spec = { command: { shell: 'sleep 2; exit 3' }, orphanMs: 120_000, heartbeatFile: file }
    const run = await runs.start('c', spec)
    // The shim, its watchdog and the watchdog's sleep share the shim's session.
    await run.whenStarted()
    const shim = Number((await runs.text('c', 'claim')).split(' ')[0])
    await eventually('the watchdog sleeps', async () => (await session(shim)).length === 3)
    const pids = await session(shim)
    const exit = await run.exit()
    expect(exit).toMatchObject({ code: 3, reason: 'exited' })
    expect(exit.endedAt - exit.startedAt).toBeLessThan(10_000)
    await eventually('all of them are gone', async () =>
      (await Promise.all(pids.map(lives))).every((alive) => !alive),
    )
    heartbeat.stop()
  }, 20_000)
})
