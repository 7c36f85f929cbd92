/** P6: a worker whose commands wait behind a slow commit is not silent. */
import { describe, expect, it } from 'vitest'
import type { Harness } from './harness.ts'
import { counter, get, host, job, open, start, theTask, worker } from './support.ts'

const LEASE_MS = 10_000
const one = host(
  'm',
  {
    initial: 'run',
    states: { run: { invoke: { src: 'work', id: 't', onDone: 'fine' } }, fine: {} },
  },
  { actors: { work: job('work', { leaseMs: LEASE_MS }) } },
)

async function running() {
  const h = open([one, counter], { shardCount: 1 })
  await start(h, 'm/1')
  await start(h, 'counter/1')
  const { taskId } = await theTask(h, 'm/1')
  const w = worker(h)
  const { token } = await h.run(w.start(taskId))
  return { h, w, taskId, token }
}

/** The disk holds a commit for as long as `meanwhile` takes. */
async function stalled(h: Harness, meanwhile: () => Promise<void>): Promise<void> {
  const { options } = h.store as unknown as { options: { manualFlush: boolean } }
  options.manualFlush = true
  h.client.send('counter/1', { type: 'ADD', by: 1 }, { timeoutMs: 120_000 }).catch(() => {})
  await h.advance(100)
  await meanwhile()
  options.manualFlush = false
  h.store.flush()
  await h.advance(1_000)
}

describe('a commit that takes longer than a lease', () => {
  it('does not make a worker lose its attempt that beats all the time', async () => {
    const { h, w, taskId, token } = await running()
    const answers: string[] = []
    await stalled(h, async () => {
      for (let n = 0; n < 5; n++) {
        await h.advance(3_000)
        w.beat(taskId, token).then(
          () => answers.push('ok'),
          ({ code }) => answers.push(code),
        )
      }
      await h.advance(1)
    })
    expect(await theTask(h, 'm/1')).toMatchObject({ state: 'running', attempt: 1 })
    expect(answers.at(-1)).toBe('ok')
    await h.run(w.done(taskId, token))
    expect((await get(h, 'm/1')).value).toBe('fine')
  })

  it('does not lose a result that came long ago and waits', async () => {
    const { h, w, taskId, token } = await running()
    await stalled(h, async () => {
      w.done(taskId, token).catch(() => {})
      await h.advance(LEASE_MS * 2)
    })
    expect((await get(h, 'm/1')).value).toBe('fine')
  })

  it('ends the attempt of a worker that is silent, whatever others say with a token of their own', async () => {
    const { h, w, taskId } = await running()
    await stalled(h, async () => {
      for (let n = 0; n < 5; n++) {
        await h.advance(3_000)
        w.beat(taskId, 'another').catch(() => {})
      }
    })
    expect((await theTask(h, 'm/1')).state).not.toBe('running')
  })
})
