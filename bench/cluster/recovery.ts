/**
 * A new node on an empty disk, alone with the journals of many actors. Decides: what its recovery is compared
 * with: rows as it wrote them, written again by a bare loop in blocks as large as LMDB likes them. A record
 * that it recovers is a row in a slot, be it that a later slot has the same row once more; so each record
 * counts, and each raw slot that it keeps.
 */
import { join } from 'node:path'
import { each, pause } from '../measure.ts'
import { openBare, type RecordedGroup, replay } from '../recorded.ts'
import { type MemberFigures, openClient, type Recovered, SHARDS, startMember } from './members.ts'

const IN_FLIGHT = 4_096
/** Rows in one flushed block of the bare loop. */
const BLOCK_ROWS = 20_000
const TIMEOUT_MS = 120_000

export interface RecoveryParams {
  data: string
  url: string
  actors: number
  /** After its start, before the new node begins. */
  eventsPerActor: number
}

export interface RecoveryResult {
  actors: number
  eventsPerActor: number
  /** Slots of all shards that the new node reads. */
  slots: number
  /** Starts and events. */
  commandsPerSecond: number
  /** From the start of its process until it serves every shard. */
  serveMs: number
  /** In the slots that it read, and the slots themselves. */
  rowsRead: number
  /** What it wrote of them. */
  rowsWritten: number
  /** From the first slot that it read to the last rows that it wrote. */
  rowsReadPerSecond: number
  /** Of the first of what it wrote. */
  barePerSecond: number
  rssAnonMb: number
}

export async function recoveryPart(params: RecoveryParams): Promise<RecoveryResult> {
  const { data, url, actors, eventsPerActor } = params
  const old = await startMember({ url, name: 'n1', directory: join(data, 'n1') })
  const ms = await fill(params)
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
  const { recording, readAt, rowsRead: inSlots } = await fresh.ask<Recovered>('recorded')
  await fresh.stop()
  const bare = openBare(join(data, 'bare'))
  const bareMs = await replay(bare, blocksOf(recording.groups))
  await bare.root.close()
  const { rows, allRows, lastAt } = recording
  const rowsRead = inSlots + slots
  return {
    ...{ actors, eventsPerActor, slots, serveMs, rowsRead, rowsWritten: allRows, rssAnonMb },
    commandsPerSecond: ((actors * (1 + eventsPerActor)) / ms) * 1_000,
    rowsReadPerSecond: (rowsRead / (lastAt - readAt)) * 1_000,
    barePerSecond: (rows / bareMs) * 1_000,
  }
}

/** Events come in rounds over all actors, as in a system in which all of them are busy. */
async function fill({ url, actors, eventsPerActor }: RecoveryParams): Promise<number> {
  const { client, close } = await openClient(url)
  let ms = await each(actors, IN_FLIGHT, (n) => client.ensure(`order/${n}`, { n }))
  const events = actors * eventsPerActor
  const send = (n: number) => client.send(`order/${n % actors}`, { type: 'NEXT', by: 'bench' })
  ms += await each(events, IN_FLIGHT, send)
  await close()
  return ms
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
