/** Ending commands: the whole group, with grace, and never anybody else's. */
import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { bootId, processStat } from '../../../src/worker/process/identity.ts'
import { eventually } from './real-time.ts'
import { lives, Runs } from './runs.ts'

let runs: Runs
beforeAll(async () => {
  runs = await Runs.create()
})
afterAll(() => runs.close())

/** The pids that a command wrote to its stdout, one per line. */
async function pidsOf(name: string, count: number): Promise<number[]> {
  return eventually(`${count} pids of ${name}`, async () => {
    const lines = (await runs.text(name, 'stdout').catch(() => '')).split('\n').slice(0, -1)
    return lines.length >= count && lines.map(Number)
  })
}

const allGone = (pids: readonly number[]) => async () =>
  (await Promise.all(pids.map(lives))).every((alive) => !alive)

describe('kill', () => {
  it('gives the command time to end by itself', async () => {
    const shell = 'trap "echo bye; exit 7" TERM; echo $$; while :; do sleep 0.05; done'
    const run = await runs.start('polite', { command: { shell } })
    await pidsOf('polite', 1)
    await run.kill({ graceMs: 5_000 })
    expect(await run.exit()).toMatchObject({ code: 7, signal: null, reason: 'killed' })
    expect(await runs.text('polite', 'stdout')).toContain('bye')
  })

  it('ends a group that ignores SIGTERM with SIGKILL', async () => {
    const shell = `trap '' TERM; echo $$
      sh -c 'echo $$; while :; do sleep 0.05; done' &
      sh -c 'echo $$; while :; do sleep 0.05; done' | cat`
    const run = await runs.start('stubborn', { command: { shell } })
    const pids = await pidsOf('stubborn', 2)
    const began = performance.now()
    await run.kill({ graceMs: 200 })
    expect(performance.now() - began).toBeGreaterThan(190)
    expect(await run.exit()).toMatchObject({ signal: 'SIGKILL', reason: 'killed' })
    await eventually('the group is gone', allGone(pids))
  })

  it('ends the children of a leader that is gone already', async () => {
    const shell = `sh -c 'trap "" TERM; echo $$; while :; do sleep 0.05; done' & read x; exit 4`
    const run = await runs.start('leaderless', { command: { shell }, keepGroup: true })
    const pids = await pidsOf('leaderless', 1)
    expect(await run.exit()).toMatchObject({ code: 4, reason: 'exited' })
    expect(await lives(pids[0] ?? 0)).toBe(true)
    const attached = await runs.attach('leaderless')
    await attached?.kill({ graceMs: 50 })
    await eventually('the child is gone', allGone(pids))
    expect(await attached?.exit()).toMatchObject({ code: 4, reason: 'exited' })
  })

  it('does nothing to a run that is over', async () => {
    const run = await runs.start('over', { command: { shell: 'exit 0' } })
    await run.exit()
    await run.kill({ graceMs: 0 })
    expect((await (await runs.attach('over'))?.exit())?.reason).toBe('exited')
  })

  it('may come before the command has begun', async () => {
    const run = await runs.start('early', { command: { argv: ['sleep', '60'] } })
    await run.kill({ graceMs: 1_000 })
    expect(await run.exit()).toMatchObject({ reason: 'killed' })
  })

  it('is known to whoever attaches', async () => {
    const run = await runs.start('marked', { command: { argv: ['sleep', '60'] } })
    await run.whenStarted()
    const other = await runs.attach('marked')
    await run.kill({ graceMs: 1_000 })
    await run.exit()
    expect(await other?.exit()).toMatchObject({ signal: 'SIGTERM', reason: 'killed' })
  })
})

describe('leftovers of a leader', () => {
  it('are ended when it exits, before the run is over', async () => {
    const shell = `sh -c 'trap "" TERM; echo $$; while :; do sleep 0.05; done' & sleep 60 & echo $!; sleep 0.2; exit 5`
    const run = await runs.start('left', { command: { shell }, groupGraceMs: 100 })
    expect(await run.exit()).toMatchObject({ code: 5, reason: 'exited' })
    expect(await allGone(await pidsOf('left', 2))()).toBe(true)
  })
})

describe('a recycled pid', () => {
  it('is never taken for the command, nor signalled', async () => {
    const innocent = spawn('sleep', ['60'], { stdio: 'ignore', detached: true })
    const pid = innocent.pid ?? 0
    const started = processStat(pid)?.startTicks ?? 0
    await mkdir(runs.dir('forged'))
    // The number lives and leads a group, but began one tick later than what is on record.
    const record = `${pid} ${started - 1} ${bootId()}`
    await writeFile(`${runs.dir('forged')}/claim`, `${record} 1000 end\n`)
    await writeFile(`${runs.dir('forged')}/pid`, `${record} end\n`)
    const run = await runs.attach('forged')
    await run?.kill({ graceMs: 0 })
    expect(await run?.exit()).toMatchObject({
      code: null,
      signal: null,
      reason: 'lost',
      startedAt: 1000,
    })
    await run?.kill({ graceMs: 0 })
    expect(await lives(pid)).toBe(true)
    innocent.kill('SIGKILL')
  })

  it('of another boot is not either', async () => {
    const innocent = spawn('sleep', ['60'], { stdio: 'ignore', detached: true })
    const pid = innocent.pid ?? 0
    const record = `${pid} ${processStat(pid)?.startTicks} 00000000-0000-0000-0000-000000000000`
    await mkdir(runs.dir('rebooted'))
    await writeFile(`${runs.dir('rebooted')}/claim`, `${record} 1000 end\n`)
    await writeFile(`${runs.dir('rebooted')}/pid`, `${record} end\n`)
    const run = await runs.attach('rebooted')
    await run?.kill({ graceMs: 0 })
    expect((await run?.exit())?.reason).toBe('lost')
    expect(await readFile(`${runs.dir('rebooted')}/exit`, 'utf8')).toBe('- 0 lost 1000 end\n')
    expect(await lives(pid)).toBe(true)
    innocent.kill('SIGKILL')
  })
})
