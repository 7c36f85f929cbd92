/**
 * What operators see of pools and do to them. Decides: the names of pools, and that a refusal of the
 * machine is an error here. Leaves to others: the semaphore itself (`pool.ts`), roles (the gateway).
 */
import type { z } from 'zod'
import {
  type ActorView,
  type Client,
  type EventObject,
  formatAddress,
  parseAddress,
  TroupeError,
} from '../../src/index.ts'
import { leaseId } from './pool.ts'
import type { poolInput } from './pool-schemas.ts'
import type { Answer } from './semaphore.ts'
import {
  type Choices,
  demandOf,
  type Holder,
  namesOf,
  type Semaphore,
  usedBy,
  usedByName,
  type Waiter,
} from './serving.ts'

/** As names of workers and more may be, and what the pool is for behind them. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.~-]{0,127}$/

export interface PoolSummary {
  pool: string
  /** Anything but `active` serves nobody: a paused pool keeps what arrives until it is resumed. */
  status: string
  slots: number
  used: number
  holders: number
  waiters: number
}

export interface PoolDetail extends Omit<PoolSummary, 'holders' | 'waiters'> {
  limits: Record<string, number>
  /** Least time between two grants of a name, in ms. */
  gaps: Record<string, number>
  choices: Choices
  /** Names whose gap is not over. */
  gapped: string[]
  /** Units out of every name that has a limit or a gap. */
  usedByName: Record<string, number>
  waitersMax: number
  holders: HolderDetail[]
  waiters: WaiterDetail[]
}

export interface WaiterDetail extends Omit<Waiter, 'demand'> {
  /** By whose name it asked; null: by the options themselves. */
  choice: string | null
  /** It waits for all names of one of them; one without names is for units only. */
  anyOf: string[][]
}

export interface HolderDetail extends Omit<Holder, 'demand' | 'option'> {
  choice: string | null
  names: string[]
  /** Unix ms; null: it has none, or it stands still. */
  leaseUntil: number | null
  /** What is left of a lease that stands still, because the pool is paused. */
  leaseFrozenMs?: number
}

export interface PoolSize {
  slots?: number
  limits?: Record<string, number>
  gaps?: Record<string, number>
  choices?: Choices
}

/** As rows of lists and views of actors both say it. */
interface Held {
  paused?: unknown
  parked?: unknown
}

export class Pools {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  /** @throws TroupeError `malformed` for the name, `already-exists` */
  async create(
    name: string,
    input: z.infer<typeof poolInput>,
    author: string,
  ): Promise<PoolDetail> {
    await this.#client.as(author).start(addressOf(name), input)
    return this.view(name)
  }

  async list(): Promise<PoolSummary[]> {
    const pools: PoolSummary[] = []
    for await (const row of this.#client.rows({ filter: { machine: 'pool' } })) {
      const { address, index } = row
      pools.push({
        pool: parseAddress(address).id,
        status: statusOf(row),
        slots: Number(index['slots']),
        used: Number(index['used']),
        holders: Number(index['holders']),
        waiters: Number(index['waiters']),
      })
    }
    return pools.sort((a, b) => a.pool.localeCompare(b.pool, 'en', { numeric: true }))
  }

  /** @throws TroupeError `not-found` */
  async view(name: string): Promise<PoolDetail> {
    return detailOf(await named(name, this.#client.get(addressOf(name))))
  }

  /** @throws TroupeError `not-found` */
  async resize(name: string, size: PoolSize, author: string): Promise<PoolDetail> {
    await this.#ask(name, { type: 'RESIZE', ...size }, author)
    return this.view(name)
  }

  /** Takes back what a holder has, or the place of who waits. @throws TroupeError `not-found` */
  async release(name: string, holder: string, author: string): Promise<PoolDetail> {
    await this.#ask(name, { type: 'EVICT', holder }, author)
    return this.view(name)
  }

  async #ask(name: string, event: EventObject, author: string): Promise<void> {
    const sent = await named(name, this.#client.as(author).send(addressOf(name), event))
    // A paused pool keeps the event and answers nothing yet.
    const answer = sent.reply as Answer | undefined
    if (answer && 'refused' in answer) {
      const code = answer.refused === 'full' ? 'too-large' : 'not-found'
      throw new TroupeError(code, `pool ${name}: ${answer.message}`)
    }
  }
}

function statusOf({ status, paused, parked }: Pick<ActorView, 'status'> & Held): string {
  if (parked) return 'parked'
  return paused ? 'paused' : status
}

function detailOf(view: ActorView): PoolDetail {
  const pool = view.context as Semaphore
  const { slots, limits, gaps, choices, gapped, waitersMax, holders, waiters } = pool
  const used = usedByName(pool)
  const names = [...new Set([...Object.keys(limits), ...Object.keys(gaps)])]
  return {
    pool: parseAddress(view.address).id,
    status: statusOf(view),
    slots,
    used: usedBy(holders),
    ...{ limits, gaps, choices, gapped },
    usedByName: Object.fromEntries(names.map((name) => [name, used.get(name) ?? 0])),
    waitersMax,
    holders: holders.map((one) => {
      const { demand: _demand, option: _option, ...holder } = one
      const { choice } = demandOf(pool, one)
      return { ...holder, choice, names: namesOf(pool, one), ...leaseOf(one, view) }
    }),
    waiters: waiters.map((one) => {
      const { demand: _demand, ...waiter } = one
      const { choice, options } = demandOf(pool, one)
      return { ...waiter, choice, anyOf: options }
    }),
  }
}

/** A lease is a timer of the actor. */
function leaseOf(
  holder: Holder,
  { timers }: ActorView,
): Pick<HolderDetail, 'leaseUntil' | 'leaseFrozenMs'> {
  const timer = timers.find(({ id }) => id === leaseId(holder))
  if (timer?.frozenMs === undefined) return { leaseUntil: timer?.dueAt ?? null }
  return { leaseUntil: null, leaseFrozenMs: timer.frozenMs }
}

async function named<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.code !== 'unknown-actor') throw thrown
    const why = `there is no pool ${name}; make it: troupe pools create ${name} --slots 4`
    throw new TroupeError('not-found', why)
  }
}

function addressOf(name: string): string {
  if (NAME.test(name)) return formatAddress('pool', name)
  const why = `"${name.slice(0, 64)}" cannot name a pool: a letter or digit and at most 127 letters, digits, "_", ".", "~" or "-"`
  throw new TroupeError('malformed', why)
}
