import { expect, it } from 'vitest'
import { open, start, counter } from '../shard/support.ts'
it.each([1e15, -1, 1.5, NaN, 'x'])('audit %s', async (before) => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const r = await h.run(h.client.audit({ before: before as number })).catch((e: Error) => `${e.message}`)
  process.stdout.write(JSON.stringify(r) + '\n')
})
it.each([1e15, -1, 1.5, NaN])('history %s', async (before) => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const r = await h.run(h.client.history('counter/a', { beforeTurn: before as number, limit: before })).catch((e: Error) => `${e.message}`)
  process.stdout.write(JSON.stringify(r) + JSON.stringify(h.stops) + '\n')
})
it.each([{ olderThanMs: 'x' }, { state: 5 }, { where: 7 }, { where: { n: {} } }, { machine: 5 }, { idPrefix: 5 }, { tag: {} }, {condition: 'zzz'}, null])('list %j', async (filter) => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const r = await h.run(h.client.list({ filter: filter as never })).catch((e: Error) => `${e.message}`)
  process.stdout.write(JSON.stringify(filter) + JSON.stringify(r).slice(0, 200) + '\n')
  const r2 = await h.run(h.client.list({ filter: filter as never, sort: { by: 'id' } })).catch((e: Error) => `${e.message}`)
  process.stdout.write(JSON.stringify(filter) + JSON.stringify(r2).slice(0, 200) + '\n')
})
