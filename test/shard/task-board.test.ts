/** A task whose message was lost is published again, whatever else its queue holds. */
import { describe, expect, it } from 'vitest'
import { pack } from '../../src/protocol/index.ts'
import { decodeTaskRow } from '../../src/shard/task-rows.ts'
import { host, job, open, restart, start } from './support.ts'

const one = host('m', { invoke: { src: 'work' } }, { actors: { work: job('work') } })

/** Who is delivered to a worker that comes now. */
async function delivered(h: ReturnType<typeof open>): Promise<string[]> {
  h.consume('default', 10_000)
  await h.advance(0)
  const addresses = h.deliveries.map(({ message }) => message.taskId.split('#')[0]!)
  return [...new Set(addresses)].sort()
}

describe('while its queue holds other messages', () => {
  async function queued() {
    const h = open([one], { shardCount: 1 })
    await start(h, 'm/busy')
    return h
  }

  it('one whose publication has an unknown outcome is published again soon', async () => {
    const h = await queued()
    h.taskQueue.failNext({ happened: false })
    await start(h, 'm/lost')
    await h.advance(h.limits.taskRepublishMs * 2)
    expect(await delivered(h)).toEqual(['m/busy', 'm/lost'])
  })

  it('one that the queue lost is published again in the end, and ever less often', async () => {
    const h = await queued()
    const publish = h.taskQueue.publish.bind(h.taskQueue)
    let published = 0
    h.taskQueue.publish = (message, done) => {
      if (!message.taskId.startsWith('m/lost')) return publish(message, done)
      published += 1
      if (published > 1) return publish(message, done)
      h.clock.defer(() => done('published'))
    }
    await start(h, 'm/lost')
    await h.advance(h.limits.taskRepublishMs * 9)
    expect(published).toBe(1)
    await h.advance(h.limits.taskRepublishMs * 3)
    expect(published).toBe(2)
    await h.advance(h.limits.taskRepublishMs * 300)
    expect(published).toBeLessThan(7)
    expect(await delivered(h)).toEqual(['m/busy', 'm/lost'])
  })
})

it('thousands that wait are not read in one go', async () => {
  const h = open([one], { shardCount: 1 })
  for (let n = 0; n < 2_500; n += 500)
    await h.run(
      Promise.all(Array.from({ length: 500 }, (_, i) => h.client.start(`m/${n + i}`, undefined))),
    )
  let inOneGo = 0
  let most = 0
  const get = h.store.get.bind(h.store)
  h.store.get = (key) => {
    if (key[2] === 0x40) inOneGo += 1
    if (inOneGo === 1)
      h.clock.after(0, () => {
        inOneGo = 0
      })
    most = Math.max(most, inOneGo)
    return get(key)
  }
  h.consume('default', 10_000)
  await h.advance(h.limits.taskRepublishMs * 2)
  expect(most).toBeGreaterThan(100)
  expect(most).toBeLessThanOrEqual(1_000)
})

it('says what it runs, at first and after a restart', async () => {
  const named = host('n', { invoke: { src: 'source' } }, { actors: { source: job('the-name') } })
  const h = open([named], { shardCount: 1 })
  await start(h, 'n/a')
  const after = restart(h, [named])
  for (const one of [h, after]) one.consume('default')
  await h.advance(0)
  for (const one of [h, after])
    expect(one.deliveries.map(({ message }) => message.name)).toEqual(['the-name'])
})

it('a row that was written without the name of its task is read, and says so', () => {
  const row = decodeTaskRow(pack([1, 'q', 3, 2]))
  expect(row).toMatchObject({ queued: true, queue: 'q', priority: 3, attempt: 2, name: '' })
})
