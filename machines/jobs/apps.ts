/**
 * The apps that may submit jobs. Decides: how long what is known of an app may be old, and that a
 * stranger learns nothing about which apps exist. Leaves to others: tokens (`tokens.ts`).
 */
import {
  type AppContext,
  type Client,
  type Clock,
  formatAddress,
  parseAddress,
  type Random,
  TroupeError,
} from '../../src/index.ts'
import type { AppRecord } from './machines.ts'
import { checkToken, makeToken, type TokenClaim, WRONG } from './tokens.ts'

/** A change of an app's key or state counts after this at the latest. */
const CACHE_MS = 2_000
const CACHE_COUNT_MAX = 1_000
const NAME_LENGTH_MAX = 64

const ALL = { filter: { machine: 'app' } }

interface Known {
  record: AppRecord & { isEnabled: boolean }
  untilMs: number
}

export interface AppSummary {
  name: string
  status: string
  createdAt: number
  isAdmin: boolean
}

export class Apps {
  readonly #client: Client
  readonly #clock: Clock
  readonly #random: Random
  readonly #known = new Map<string, Known>()

  constructor({ client, clock, random }: Pick<AppContext, 'client' | 'clock' | 'random'>) {
    this.#client = client
    this.#clock = clock
    this.#random = random
  }

  /** @throws TroupeError `malformed` for the name, `already-exists` */
  async create(
    name: string,
    author: string,
    { isAdmin = false } = {},
  ): Promise<AppRecord & { name: string }> {
    if (name.length === 0 || [...name].length > NAME_LENGTH_MAX) {
      throw new TroupeError(
        'malformed',
        `name: an app has a name of 1 to ${NAME_LENGTH_MAX} characters`,
      )
    }
    const address = formatAddress('app', name)
    // 16 random bytes, as they are in an id.
    const appKey = Buffer.from(this.#random.id(), 'base64url').toString('hex')
    const record: AppRecord = { appKey, createdAt: this.#clock.now(), isAdmin }
    await this.#client.as(author).start(address, record)
    return { name, ...record }
  }

  async createIfMissing(name: string, author: string): Promise<void> {
    try {
      await this.#find(name)
    } catch (thrown) {
      if (!isCode(thrown, 'unknown-actor')) throw thrown
      await this.create(name, author).catch((error: unknown) => {
        if (!isCode(error, 'already-exists')) throw error
      })
    }
  }

  async list(): Promise<AppSummary[]> {
    const rows: AppSummary[] = []
    for await (const { address, value, index } of this.#client.rows(ALL)) {
      const name = parseAddress(address).id
      const isAdmin = index['isAdmin'] === true
      const createdAt = Number(index['createdAt'])
      rows.push({ name, status: String(value), createdAt, isAdmin })
    }
    return rows.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** @throws TroupeError `not-found` */
  async require(name: string): Promise<void> {
    await this.#findOr(name, missing(name))
  }

  /** @throws TroupeError `forbidden` */
  async requireAdmin(name: string): Promise<void> {
    const { isAdmin } = await this.#findOr(name, missing(name))
    if (isAdmin) return
    const why = `app ${name} may not do this: it takes one that was added with --admin`
    throw new TroupeError('forbidden', why)
  }

  /** @throws TroupeError `not-found` */
  async keyOf(name: string): Promise<string> {
    return (await this.#findOr(name, missing(name))).appKey
  }

  /** @throws TroupeError `not-found` */
  async tokenFor(name: string): Promise<{ name: string; token: string; time: string }> {
    const { appKey } = await this.#findOr(name, missing(name))
    return { name, ...makeToken(appKey, this.#clock.now()) }
  }

  /** @throws TroupeError `unauthorized`, or `forbidden` when the app is disabled */
  async authenticate(claim: TokenClaim): Promise<void> {
    const record = await this.#findOr(claim.name, undefined)
    // The work is the same when there is no such app.
    checkToken(record?.appKey ?? '', claim, this.#clock.now())
    if (record === undefined) throw new TroupeError('unauthorized', WRONG)
    if (!record.isEnabled) throw new TroupeError('forbidden', `app ${claim.name} is disabled`)
  }

  async #findOr<T extends TroupeError | undefined>(
    name: string,
    otherwise: T,
  ): Promise<Known['record'] | (T extends undefined ? undefined : never)> {
    try {
      return await this.#find(name)
    } catch (thrown) {
      if (!isCode(thrown, 'unknown-actor') && !isCode(thrown, 'invalid-address')) throw thrown
      if (otherwise) throw otherwise
      return undefined as T extends undefined ? undefined : never
    }
  }

  async #find(name: string): Promise<Known['record']> {
    const now = this.#clock.monotonic()
    const known = this.#known.get(name)
    if (known && known.untilMs > now) return known.record
    const view = await this.#client.get(formatAddress('app', name))
    const record = {
      ...(view.context as AppRecord),
      isEnabled: view.value === 'enabled' && view.status === 'active',
    }
    if (this.#known.size >= CACHE_COUNT_MAX) this.#known.clear()
    this.#known.set(name, { record, untilMs: now + CACHE_MS })
    return record
  }
}

function missing(name: string): TroupeError {
  return new TroupeError('not-found', `there is no app ${name}; make it: troupe apps add ${name}`)
}

function isCode(thrown: unknown, code: TroupeError['code']): boolean {
  return thrown instanceof TroupeError && thrown.code === code
}
