/**
 * The workers that ping this manager. Decides: what a list shows, from rows alone: hundreds are listed at
 * a glance. Leaves to others: reaching them.
 */
import { type ActorRow, type Client, parseAddress, TroupeError } from '../../../src/index.ts'
import { isCode } from './failures.ts'
import { type PingRecord, pingFields, workerAddress } from './worker-pings.ts'

const PAGE_COUNT = 1_000
/** One for all: made anew for each comparison it costs more than the list. */
const BY_NAME = new Intl.Collator('en', { numeric: true })

export interface PingSummary {
  name: string
  /** `host:port` of its own interface. */
  dest: string
  version: string
  /** Unix ms. */
  lastPing: number
  threads: number
  empty: number
  paused: number
  /** Null of workers that do not count these. */
  running: number | null
  waiting: number | null
  errors: number
}

export class WorkerPings {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  async list(): Promise<PingSummary[]> {
    const found: PingSummary[] = []
    const query = { filter: { machine: 'sealing-worker' }, limit: PAGE_COUNT }
    for await (const row of this.#client.rows(query)) found.push(summaryOf(row))
    return found.sort((a, b) => BY_NAME.compare(a.name, b.name))
  }

  /** @throws TroupeError `not-found` */
  async get(name: string): Promise<PingSummary> {
    try {
      const view = await this.#client.get(workerAddress(name))
      return { name, ...pingFields(view.context as PingRecord) }
    } catch (thrown) {
      throw unknownWorker(name, thrown)
    }
  }

  /** Forgets it; its next ping brings it back. @throws TroupeError `not-found` */
  async remove(name: string, author: string): Promise<void> {
    try {
      await this.#client.as(author).delete(workerAddress(name))
    } catch (thrown) {
      throw unknownWorker(name, thrown)
    }
  }
}

function summaryOf({ address, index }: ActorRow): PingSummary {
  const count = (field: string) => Number(index[field] ?? 0)
  const optional = (field: string) => (index[field] == null ? null : Number(index[field]))
  return {
    name: parseAddress(address).id,
    dest: String(index['dest'] ?? ''),
    version: String(index['version'] ?? ''),
    lastPing: count('lastPing'),
    threads: count('threads'),
    empty: count('empty'),
    paused: count('paused'),
    running: optional('running'),
    waiting: optional('waiting'),
    errors: count('errors'),
  }
}

function unknownWorker(name: string, thrown: unknown): unknown {
  if (!isCode(thrown, 'unknown-actor') && !isCode(thrown, 'invalid-address')) return thrown
  return new TroupeError('not-found', `no worker pings this manager as ${name.slice(0, 64)}`)
}
