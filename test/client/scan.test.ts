/** A scan: every actor once, page by page, whatever changes meanwhile and however small a page is. */
import { beforeEach, expect, it } from 'vitest'
import { code, counter, open, start } from '../shard/support.ts'

const COUNT = 57
let h: ReturnType<typeof open>

beforeEach(async () => {
  h = open([counter], { shardCount: 5, limits: { pageCountMax: 40 } })
  for (let n = 0; n < COUNT; n++) await start(h, `counter/c${n}`)
})

async function addressesBy(limit: number, between: () => Promise<unknown> = async () => {}) {
  const pages: string[][] = []
  let cursor: string | undefined
  do {
    const query = { filter: { machine: 'counter' }, limit }
    const page = await h.run(
      h.client.scan({ ...query, ...(cursor === undefined ? {} : { cursor }) }),
    )
    pages.push(page.rows.map(({ address }) => address))
    cursor = page.cursor
    await between()
  } while (cursor !== undefined)
  return pages
}

const everybody = Array.from({ length: COUNT }, (_, n) => `counter/c${n}`).sort()

it.each([1, 7, 40])('finds each once, in pages of %i', async (limit) => {
  const pages = await addressesBy(limit)
  expect(pages.flat().sort()).toEqual(everybody)
  for (const page of pages) expect(page.length).toBeLessThanOrEqual(limit)
})

it('whoever changes, or comes, meanwhile is not found twice', async () => {
  let more = 0
  const pages = await addressesBy(5, async () => {
    await h.run(h.client.pause(`counter/c${more}`))
    more += 1
    await start(h, `counter/new${more}`)
  })
  const found = pages.flat()
  expect(new Set(found).size).toBe(found.length)
  expect(found).toEqual(expect.arrayContaining(everybody))
})

it('refuses what is no cursor of a scan, and a page that is too large', async () => {
  const { cursor: ofList = '' } = await h.run(h.client.list({ filter: {}, limit: 3 }))
  for (const cursor of ['', 'x', ofList, Buffer.from('\xc0').toString('base64url')]) {
    expect(await code(h, h.client.scan({ filter: {}, cursor }))).toBe('invalid-query')
  }
  expect(await code(h, h.client.scan({ filter: {}, limit: 41 }))).toBe('invalid-query')
})
