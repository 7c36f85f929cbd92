/**
 * All workers and threads that a node can tell of, from rows alone: a list of hundreds costs one question.
 * Decides: what can be asked. Leaves to others: workers whose threads live with them, whom the command asks
 * itself (`threads-verbs.ts`).
 */
import { type Client, type Clock, formatAddress, TroupeError } from '../../../src/index.ts'
import { answerOf, type ControlAnswer, type SectorStory, storyOf } from '../daemon/index.ts'
import type { PlanName, SectorState } from '../plans/index.ts'
import { type Condition, rowOf, sealingThread, type ThreadRow } from '../thread/index.ts'

export interface ThreadFilter {
  worker?: string | undefined
  state?: SectorState | undefined
  condition?: Condition | undefined
  plan?: PlanName | undefined
  sector?: string | undefined
}

export interface ThreadCommand {
  action: 'pause' | 'resume'
  thread: string
  reason?: string | undefined
  state?: string | undefined
  retry?: boolean | undefined
  force?: boolean | undefined
  dryRun?: boolean | undefined
}

/** As many as a page may have. */
const PAGE_COUNT = 1_000

export class Fleet {
  readonly #client: Client
  readonly #clock: Clock

  constructor({ client, clock }: { client: Client; clock: Clock }) {
    this.#client = client
    this.#clock = clock
  }

  async threads(given: ThreadFilter): Promise<ThreadRow[]> {
    const where = Object.fromEntries(
      Object.entries(given).filter((pair): pair is [string, string] => pair[1] !== undefined),
    )
    const filter = {
      machine: sealingThread.name,
      ...(Object.keys(where).length === 0 ? {} : { where }),
    }
    const threads: ThreadRow[] = []
    for await (const row of this.#client.rows({ filter, limit: PAGE_COUNT }))
      threads.push(rowOf(row))
    return threads.sort((a, b) => a.worker.localeCompare(b.worker) || a.index - b.index)
  }

  /** @throws TroupeError `unknown-actor` */
  async control({ thread, action, ...rest }: ThreadCommand, by: string): Promise<ControlAnswer> {
    const given = Object.fromEntries(
      Object.entries(rest).filter(([, value]) => value !== undefined),
    )
    const type = action === 'pause' ? 'PAUSE' : 'RESUME'
    const event = { type, by, at: this.#clock.now(), ...given }
    const address = formatAddress(sealingThread.name, thread)
    return answerOf(await this.#client.as(by).ask(address, event))
  }

  /** @throws TroupeError `not-found` */
  async story(sector: string): Promise<SectorStory> {
    const story = await storyOf(this.#client, sector)
    if (story !== null) return story
    throw new TroupeError('not-found', `nothing is known of ${sector} here`)
  }
}
