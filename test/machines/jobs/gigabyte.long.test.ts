/** Results of a gigabyte: by rows, by offset, and as a download. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { JobsNode } from './rig.ts'

const ROW = 'x'.repeat(1_023)
const ROWS = 2 ** 20

let node: JobsNode
let jobId: string

beforeAll(async () => {
  node = await JobsNode.create()
  await node.addApp('tests')
  jobId = await node.submit(`yes ${ROW} | head -n ${ROWS}`)
  await node.reaches(jobId, '0', 100_000)
})

afterAll(() => node.close())

it('every row comes once, by the offset of the answer before', async () => {
  let rows = 0
  let offset = 0
  for (;;) {
    const { body } = await node.call('/server/result', { jobId, offset, lines: 10_000 })
    const { data, rowCnt, isEnd } = body.params
    expect(data.every((row) => row === ROW)).toBe(true)
    expect(rowCnt).toBe(data.length)
    rows += rowCnt
    offset = body.params.offset
    if (isEnd) break
  }
  expect({ rows, offset }).toEqual({ rows: ROWS, offset: ROWS * (ROW.length + 1) })
})

it('its last rows are there at once', async () => {
  const offset = (ROWS - 3) * (ROW.length + 1)
  const { params } = (await node.call('/server/result', { jobId, offset, lines: 2 })).body
  expect(params).toMatchObject({ rowCnt: 2, isEnd: false, offset: offset + 2 * (ROW.length + 1) })
})

it('the download is the whole of it, and does not gather in memory', async () => {
  const before = process.memoryUsage().rss
  const answer = await node.download({ jobId })
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of answer.body!) {
    hash.update(chunk)
    bytes += chunk.length
  }
  const wanted = createHash('sha256')
  const block = Buffer.from(`${ROW}\n`.repeat(1_024))
  for (let count = 0; count < ROWS; count += 1_024) wanted.update(block)
  expect({ bytes, hash: hash.digest('hex') }).toEqual({
    bytes: ROWS * (ROW.length + 1),
    hash: wanted.digest('hex'),
  })
  expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024)
})
