/**
 * Groups of workers and their keys. Decides: how a key is made and checked (in constant time, with the
 * same words and the same work for a wrong key and for no such group), and how old what is known of a
 * group may be. A key is kept as its hash.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import {
  type AppContext,
  type Client,
  type Clock,
  formatAddress,
  parseAddress,
  type Random,
  TroupeError,
  type WorkerClaim,
} from '../../src/index.ts'
import type { GroupRecord } from './machines.ts'

/** A changed key counts after this at the latest. */
const CACHE_MS = 2_000
const CACHE_COUNT_MAX = 1_000
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
const NO_HASH = '0'.repeat(64)

interface Known {
  group: (GroupRecord & { isEnabled: boolean }) | undefined
  untilMs: number
}

export interface GroupSummary {
  group: string
  status: string
  queues: string[]
  createdAt: number
  keyedAt: number
}

export interface GroupKey {
  group: string
  queues: string[]
  /** 32 hex digits. */
  key: string
}

export class Groups {
  readonly #client: Client
  readonly #clock: Clock
  readonly #random: Random
  readonly #known = new Map<string, Known>()

  constructor({ client, clock, random }: Pick<AppContext, 'client' | 'clock' | 'random'>) {
    this.#client = client
    this.#clock = clock
    this.#random = random
  }

  /**
   * @param queues default: the queue of jobs of that group
   * @throws TroupeError `malformed` for the name, `already-exists`
   */
  async create(group: string, queues: readonly string[], author: string): Promise<GroupKey> {
    const key = this.#newKey()
    const createdAt = this.#clock.now()
    const own = queues.length > 0 ? [...new Set(queues)] : defaultQueues(group)
    const record: GroupRecord = {
      keyHash: hashOf(key),
      queues: own,
      createdAt,
      keyedAt: createdAt,
    }
    await this.#client.as(author).start(addressOf(group), record)
    this.#known.delete(group)
    return { group, queues: own, key }
  }

  /** From now on only the new key opens. @throws TroupeError `not-found` */
  async rotate(group: string, author: string): Promise<GroupKey> {
    const known = await this.#find(group)
    if (known === undefined) throw noSuchGroup(group)
    const key = this.#newKey()
    const event = { type: 'ROTATE', keyHash: hashOf(key), at: this.#clock.now() }
    await this.#client.as(author).send(addressOf(group), event)
    this.#known.delete(group)
    return { group, queues: known.queues, key }
  }

  async list(): Promise<GroupSummary[]> {
    const groups: GroupSummary[] = []
    const filter = { machine: 'workergroup' }
    for await (const { address, value, index } of this.#client.rows({ filter })) {
      groups.push({
        group: parseAddress(address).id,
        status: String(value),
        queues: String(index['queues']).split(' '),
        createdAt: Number(index['createdAt']),
        keyedAt: Number(index['keyedAt']),
      })
    }
    return groups.sort((a, b) => a.group.localeCompare(b.group, 'en', { numeric: true }))
  }

  /** @throws TroupeError `unauthorized` */
  async authenticate({ group, key }: WorkerClaim): Promise<{ queues: readonly string[] }> {
    const known = NAME.test(group) ? await this.#find(group) : undefined
    const given = Buffer.from(hashOf(key), 'hex')
    const isRight = timingSafeEqual(given, Buffer.from(known?.keyHash ?? NO_HASH, 'hex'))
    if (!known?.isEnabled || !isRight) {
      const why = 'this key does not open this group: troupe workers groups list shows the groups'
      throw new TroupeError('unauthorized', why)
    }
    return { queues: known.queues }
  }

  /**
   * Without a key, for workers that NATS has let in. A group that nobody has added has the queues that it
   * would be added with.
   * @throws TroupeError `malformed` for the name, `forbidden` for a group that is disabled
   */
  async queuesOf(group: string): Promise<readonly string[]> {
    addressOf(group)
    const known = await this.#find(group)
    if (known === undefined) return defaultQueues(group)
    if (known.isEnabled) return known.queues
    throw new TroupeError('forbidden', `the group ${group} takes no workers: it is disabled`)
  }

  /** 16 random bytes, as they are in an id. */
  #newKey(): string {
    return Buffer.from(this.#random.id(), 'base64url').toString('hex')
  }

  async #find(group: string): Promise<Known['group']> {
    const now = this.#clock.monotonic()
    const known = this.#known.get(group)
    if (known && known.untilMs > now) return known.group
    const found = await this.#load(group)
    if (this.#known.size >= CACHE_COUNT_MAX) this.#known.clear()
    this.#known.set(group, { group: found, untilMs: now + CACHE_MS })
    return found
  }

  async #load(group: string): Promise<Known['group']> {
    try {
      const view = await this.#client.get(addressOf(group))
      const isEnabled = view.value === 'enabled' && view.status === 'active'
      return { ...(view.context as GroupRecord), isEnabled }
    } catch (thrown) {
      if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return undefined
      throw thrown
    }
  }
}

function addressOf(group: string): string {
  if (NAME.test(group)) return formatAddress('workergroup', group)
  const why = `"${group.slice(0, 64)}" cannot name a group: a letter or digit and at most 63 letters, digits, "_" or "-"`
  throw new TroupeError('malformed', why)
}

/** Of jobs of that group. */
function defaultQueues(group: string): string[] {
  return [`job.group.${group}`]
}

function noSuchGroup(group: string): TroupeError {
  return new TroupeError(
    'not-found',
    `there is no group ${group}; make it: troupe workers groups add ${group}`,
  )
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}
