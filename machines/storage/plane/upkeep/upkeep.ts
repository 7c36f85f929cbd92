/**
 * Asking for upkeep, and what people see of it. Decides: that a message is an actor by the time this
 * resolves, and that the same again is the same actor; how long bytes of a deleted blob stay. Leaves to
 * others: what becomes of it.
 */
import {
  type ActorRow,
  type Client,
  type Clock,
  type EventObject,
  TroupeError,
} from '../../../../src/index.ts'
import {
  type CountersView,
  countersView,
  type ReplayAnswer,
  type UpkeepCounters,
} from './counters.ts'
import { countersAddress, KINDS, type UpkeepKind } from './kinds.ts'
import { type RepairMessage, removalAddress, repairAddress } from './messages.ts'
import type { Tries } from './pace.ts'

/** One that is finished goes between two commits: whoever finds it there finds it gone the next time. */
const TRIES_MAX = 4

export interface Removal {
  vid: number
  bid: bigint
  /** Units that need no mark any more: theirs is marked or deleted. */
  unitsMarked: readonly number[]
  /** All units are. */
  isMarked: boolean
  /** Nobody was ever told of it: there is nothing to protect. */
  isLeftover: boolean
}

export interface UpkeepDeps {
  client: Client
  clock: Pick<Clock, 'now'>
  safeDelayMs: number
}

export interface UpkeepView extends CountersView {
  kind: UpkeepKind
  /** Messages by their states. */
  messages: Record<string, number>
  /** That failed at least once, and are not done. */
  failedCount: number
}

/** A message that is not done, as people see it. */
export interface OpenMessage {
  address: string
  vid: number
  bid: bigint
  state: string
  tries: number
  /** Why it failed last, and what it waits for. */
  lastError: string | null
  waitsFor: string | null
  /** Unix ms: until then. */
  retryAt: number | null
}

export class Upkeep {
  readonly #client: Client
  readonly #clock: Pick<Clock, 'now'>
  readonly #safeDelayMs: number

  constructor({ client, clock, safeDelayMs }: UpkeepDeps) {
    this.#client = client
    this.#clock = clock
    this.#safeDelayMs = safeDelayMs
  }

  /** Durable when it resolves. @throws TroupeError when that is not known */
  async repair({ vid, bid, badIndexes, reason }: Readonly<RepairMessage>): Promise<void> {
    if (badIndexes.length === 0) return
    const ask = { badIndexes, reason }
    const event = { type: 'ASK', ...ask }
    await this.#bring(repairAddress({ vid, bid }), { vid, bid, ...ask }, event)
  }

  /** Durable when it resolves. @throws TroupeError when that is not known */
  async remove({ vid, bid, unitsMarked, isMarked, isLeftover }: Removal): Promise<void> {
    const delayMs = isLeftover ? 0 : this.#safeDelayMs
    const dueAt = this.#clock.now() + delayMs
    const input = { vid, bid, unitsMarked: [...unitsMarked], isMarked, dueAt, delayMs }
    const event = { type: 'ASK', unitsMarked: input.unitsMarked, isMarked }
    await this.#bring(removalAddress({ vid, bid }), input, event)
  }

  /** How a kind stands, and how its tries ended. */
  async view(kind: UpkeepKind): Promise<UpkeepView> {
    const { machine, failed } = KINDS[kind]
    const [rows, counters] = await Promise.all([
      this.#client.count({ machine }),
      this.#client.get(countersAddress(kind)),
    ])
    const messages: Record<string, number> = {}
    for (const { state, count } of rows) messages[state] = (messages[state] ?? 0) + count
    const failedCount = failed.reduce((sum, state) => sum + (messages[state] ?? 0), 0)
    const view = countersView(counters.context as UpkeepCounters, this.#clock.now())
    return { kind, messages, failedCount, ...view }
  }

  /** Messages in one state; those that are in it for longest first. */
  async messages(
    kind: UpkeepKind,
    { state, limit, cursor }: { state: string; limit: number; cursor?: string | undefined },
  ): Promise<{ messages: OpenMessage[]; cursor?: string }> {
    const page = await this.#client.list({
      filter: { machine: KINDS[kind].machine, state },
      sort: { by: 'since' },
      limit,
      ...(cursor === undefined ? {} : { cursor }),
    })
    const messages = await Promise.all(page.rows.map((row) => this.#message(row)))
    const found = messages.filter((one) => one !== undefined)
    return { messages: found, ...(page.cursor === undefined ? {} : { cursor: page.cursor }) }
  }

  /**
   * What failed until now is tried again, a few at a time.
   * @throws TroupeError `conflict` while its kind is switched off, or where there are no such states
   */
  async replay(kind: UpkeepKind, states?: readonly string[], author?: string): Promise<string[]> {
    const client = author === undefined ? this.#client : this.#client.as(author)
    const wanted = [...(states ?? KINDS[kind].failed)]
    const event = { type: 'REPLAY', states: wanted, at: this.#clock.now() }
    const answer = (await client.ask(countersAddress(kind), event)) as ReplayAnswer | undefined
    if (answer === undefined)
      throw new TroupeError(
        'unavailable',
        `${countersAddress(kind)} is paused or parked: resume it`,
      )
    if ('states' in answer) return answer.states
    throw new TroupeError('conflict', `${kind}: ${answer.refused}`)
  }

  /** Undefined where it is gone by now. */
  async #message({ address, value }: ActorRow): Promise<OpenMessage | undefined> {
    try {
      const { context } = await this.#client.get(address)
      const { vid, bid, tries, lastError, waitsFor, retryAt } = context as Tries & BlobPlace
      const told = { tries, lastError, waitsFor, retryAt }
      return { address, vid, bid, state: String(value), ...told }
    } catch (thrown) {
      if (thrown instanceof TroupeError && GOES_BY.has(thrown.code)) return undefined
      throw thrown
    }
  }

  async #bring(address: string, input: object, event: EventObject): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#startOrSend(address, input, event)
        return
      } catch (thrown) {
        const isGone = thrown instanceof TroupeError && GOES_BY.has(thrown.code)
        if (!isGone || tries === TRIES_MAX) throw thrown
      }
    }
  }

  async #startOrSend(address: string, input: object, event: EventObject): Promise<void> {
    try {
      await this.#client.start(address, input)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || thrown.code !== 'already-exists') throw thrown
      await this.#client.send(address, event)
    }
  }
}

interface BlobPlace {
  vid: number
  bid: bigint
}

const GOES_BY: ReadonlySet<string> = new Set(['unknown-actor', 'finished'])
