/**
 * All that is known of the work on a sector: what has ended, and what is under way. Decides: that both stand
 * side by side, since the thread itself keeps what is under way.
 */
import { type Client, TroupeError } from '../../../src/index.ts'
import { type Chapter, Histories, type HistoryEntry } from '../history/index.ts'
import { entriesOf, sealingThread, type ThreadContext } from '../thread/index.ts'

/** What a thread does with it now. */
export interface LiveChapter {
  plan: string
  worker: string
  thread: string
  state: string
  /** Unix ms. */
  startedAt: number | null
  entries: HistoryEntry[]
  dropped: number
}

export interface SectorStory {
  sector: string
  /** The oldest first. */
  chapters: Chapter[]
  chaptersDropped: number
  live: LiveChapter[]
}

/** Null where nothing is known of it. */
export async function storyOf(client: Client, sector: string): Promise<SectorStory | null> {
  const live = await liveOf(client, sector)
  const ended = await endedOf(client, sector)
  if (ended === null && live.length === 0) return null
  return { sector, chapters: [], chaptersDropped: 0, ...ended, live }
}

async function endedOf(client: Client, sector: string) {
  try {
    return await new Histories(client).of(sector)
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'not-found') return null
    throw thrown
  }
}

async function liveOf(client: Client, sector: string): Promise<LiveChapter[]> {
  const found: LiveChapter[] = []
  const filter = { machine: sealingThread.name, where: { sector } }
  for await (const { address } of client.rows({ filter })) {
    const view = await client.get(address)
    const context = view.context as ThreadContext
    const { plan, worker, thread, state, startedAt, dropped } = context
    found.push({ plan, worker, thread, state, startedAt, entries: entriesOf(context), dropped })
  }
  return found
}
