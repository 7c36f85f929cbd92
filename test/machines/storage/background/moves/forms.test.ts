/** What a move looks like to others: its id, and the old scheduler's JSON of it. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import {
  MOVE_TYPES,
  moveAddress,
  moveInput,
  newMoveId,
  newXid,
  parseMoveAddress,
  wireStat,
  wireTask,
} from '../../../../../machines/storage/background/moves/index.ts'
import {
  type MoveRecord,
  newMove,
} from '../../../../../machines/storage/background/moves/move-record.ts'
import { SeededRandom } from '../../../../../src/adapters/memory/index.ts'

const CTIME = Date.parse('2023-03-02T11:23:47.090Z')

function record(): MoveRecord {
  const sourceVuid = 1_665_382_175_735_811n
  const given = { taskId: 'balance-2678-387752-cg08egoi5d8une4a6cp0', type: 'balance' as const }
  const where = { sourceVuid, sourceDiskId: 2_678, sourceIdc: 'test' }
  const move = newMove(moveInput.parse({ ...given, ...where, at: CTIME }))
  const destination = { vuid: sourceVuid + 1n, host: 'http://127.0.0.1:8889', diskId: 6_027 }
  const stat = { doneSize: 1, doneCount: 2, totalSize: 3, totalCount: 4, progress: 33 }
  const sources = [{ vuid: sourceVuid, host: 'http://127.0.0.1:8889', diskId: 2_678 }]
  return { ...move, state: 2, mtime: CTIME + 1_160, codeMode: 12, destination, sources, stat }
}

/** Of the old scheduler's example: by key, the kind of its value. */
function kinds(value: unknown): unknown {
  if (Array.isArray(value)) return [kinds(value[0])]
  if (value === null || typeof value !== 'object') {
    return typeof value === 'bigint' ? 'number' : typeof value
  }
  const entries = Object.entries(value).map(([key, one]) => [key, kinds(one)] as const)
  return Object.fromEntries(entries.sort(([a], [b]) => a.localeCompare(b)))
}

it('has the keys and the types of the old example', () => {
  const path = new URL('./seed-task.json', import.meta.url)
  const seed: unknown = JSON.parse(readFileSync(path, 'utf8'))
  const move = record()
  expect(kinds({ task: wireTask(move), stat: wireStat(move) })).toEqual(kinds(seed))
})

it('has times that every library reads, or those of the old scheduler', () => {
  const move = record()
  expect(wireTask(move)).toMatchObject({
    ...{ ctime: '2023-03-02T11:23:47.090Z', mtime: '2023-03-02T11:23:48.250Z', state: 2 },
  })
  expect(wireTask(move, { goTimes: true })).toMatchObject({
    ctime: '2023-03-02 11:23:47.09 +0000 UTC m=+0.000000000',
    mtime: '2023-03-02 11:23:48.25 +0000 UTC m=+1.160000000',
  })
  const even = { ...move, ctime: Date.parse('2023-03-02T11:20:10.000Z') }
  expect(wireTask(even, { goTimes: true }).ctime).toBe(
    '2023-03-02 11:20:10 +0000 UTC m=+0.000000000',
  )
})

it('has no sources before it is prepared', () => {
  expect(wireTask({ ...record(), sources: null }).sources).toBeNull()
})

it('is found by its kind and its disk, and its id by its age', () => {
  const random = new SeededRandom(1)
  const at = (now: number) => ({ clock: { now: () => now }, random })
  const id = newMoveId('balance', 2_678, 387_752, at(CTIME))
  expect(id).toMatch(/^balance-2678-387752-[0-9a-v]{20}$/)
  expect(parseMoveAddress(moveAddress(id))).toBe(id)
  expect(parseMoveAddress('volume/1')).toBeUndefined()
  const xids = [0, 1, 60, 86_400, 10 ** 8].map((seconds) => newXid(at(CTIME + seconds * 1_000)))
  expect([...xids].sort()).toEqual(xids)
  // The old example was made in the same second.
  expect(newXid(at(Date.parse('2023-03-02T11:23:46Z'))).slice(0, 6)).toBe('cg08eg')
  const many = new Set(Array.from({ length: 1_000 }, () => newXid(at(CTIME))))
  expect(many.size).toBe(1_000)
})

it('never reads a disk that is broken', () => {
  const input = {
    taskId: 't',
    sourceVuid: (1n << 32n) | 1n,
    sourceDiskId: 1,
    sourceIdc: 'z',
    at: 1,
  }
  for (const type of MOVE_TYPES) {
    const move = newMove(moveInput.parse({ ...input, type }))
    expect(move.forbiddenDirectDownload).toBe(type === 'disk_repair')
  }
})
