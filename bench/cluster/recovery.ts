/**
 * A new node on an empty disk, alone with the journals of many actors. Decides: what its recovery is compared
 * with: the same rows, written again by a bare loop in blocks as large as LMDB likes them.
 */
import { join } from 'node:path'
import { each, pause } from '../measure.ts'
import { openBare, type RecordedGroup, replay } from '../recorded.ts'
import { type MemberFigures, openClient, type Recovered, SHARDS, startMember } from './members.ts'

const STARTS_IN_FLIGHT = 4_096
const ACTORS = { full: 1_000_000, quick: 20_000 }
/** Rows in one flushed block of the bare loop. */
const BLOCK_ROWS = 20_000
const TIMEOUT_MS = 120_000

export interface RecoveryParams {
  data: string
  url: string
  quick: boolean
}

export interface RecoveryResult {
  actors: number
  /** Slots of all shards that the new node reads. */
  slots: number
  startsPerSecond: number
  /** From the start of its process until it serves every shard. */
  serveMs: number
  /** What it wrote. */
  rows: number
  /** From the first slot that it read to the last rows that it wrote. */
  rowsPerSecond: number
  /** Of the first of them. */
  barePerSecond: number
  rssAnonMb: number
}

export async function recoveryPart({ data, url, quick }: RecoveryParams): Promise<RecoveryResult> {
  const actors = quick ? ACTORS.quick : ACTORS.full
  const old = await startMember({ url, name: 'n1', directory: join(data, 'n1') })
  const { client, close } = await openClient(url)
  const ms = await each(actors, STARTS_IN_FLIGHT, (n) => client.ensure(`order/${n}`, { n }))
  await close()
  const { slots } = await old.ask<MemberFigures>('figures')
  await old.stop()
  const beganAt = performance.now()
  const fresh = await startMember({ url, name: 'n2', directory: join(data, 'n2'), records: true })
  let figures = await fresh.ask<MemberFigures>('figures')
  while (figures.serves < SHARDS) {
    if (performance.now() - beganAt > TIMEOUT_MS) throw new Error(`${figures.serves} shards serve`)
    await pause(20)
    figures = await fresh.ask<MemberFigures>('figures')
  }
  const serveMs = performance.now() - beganAt
  const { rssAnonMb } = figures
  const { recording, readAt } = await fresh.ask<Recovered>('recorded')
  await fresh.stop()
  const bare = openBare(join(data, 'bare'))
  const bareMs = await replay(bare, blocksOf(recording.groups))
  await bare.root.close()
  const { rows, allRows, lastAt } = recording
  return {
    ...{ actors, slots, serveMs, rssAnonMb, rows: allRows },
    startsPerSecond: (actors / ms) * 1_000,
    rowsPerSecond: (allRows / (lastAt - readAt)) * 1_000,
    barePerSecond: (rows / bareMs) * 1_000,
  }
}

/** The same rows in the same order, in larger blocks. */
function blocksOf(groups: readonly RecordedGroup[]): RecordedGroup[] {
  const blocks: RecordedGroup[] = []
  let rows = BLOCK_ROWS
  for (const { writes } of groups) {
    for (const some of writes) {
      if (rows >= BLOCK_ROWS) {
        blocks.push({ writes: [] })
        rows = 0
      }
      blocks.at(-1)!.writes.push(some)
      rows += some.length
    }
  }
  return blocks
}
