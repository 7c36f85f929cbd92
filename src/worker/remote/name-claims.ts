/**
 * Whose a worker's name is, among all nodes of a cluster.
 *
 * Decides: that a name goes from process to process by numbered claims that are created once each, so that
 * of two that come in the same moment one is let in; that it goes on only when nobody answers as the
 * process that has it, or to the next process on its data directory, which a session names before its
 * colon; and that a name that nobody has had for long is forgotten. Leaves to others: how a process is asked,
 * what it may do under its name.
 *
 * Whoever removes the last claim of a name lets another begin anew, beside who had seen that one. So numbers
 * never come again, as they follow the time, and whoever finds beside its claim another one that it has not
 * judged withdraws: of two who claim at once one at least finds the other.
 */
import type { ClaimOutcome, Clock, Registry, RegistryListOutcome } from '../../ports/index.ts'
import { TroupeError } from '../../protocol/index.ts'

/** `unclear`: it is connected and says nothing. */
export type Presence = 'there' | 'gone' | 'unclear'

export interface NameClaimsDeps {
  registry: Pick<Registry, 'claim' | 'put' | 'list' | 'remove'>
  /** Whether that process runs. It has to answer before it asks for its name. */
  presenceOf: (worker: string, session: string) => Promise<Presence>
  clock: Pick<Clock, 'now'>
  /** Default: a week. */
  keptMs?: number
}

/** What a machine that is being repaired, or a long holiday, may take. */
const KEPT_MS = 7 * 24 * 3_600_000
/** Two that come in the same moment mean the same number. Far less than a name is kept. */
const SAME_NUMBER_MS = 3_600_000

const PREFIX = 'worker.'

/** Instead of a process that has said that it ends. */
const NOBODY = ''
/** Before the time since when a process is known to be gone; no session has spaces. */
const GONE = 'gone'

interface Held {
  number: number
  session: string
  /** By the clock of who found out; undefined for one that may be there. */
  goneSinceMs: number | undefined
}

export class NameClaims {
  readonly #deps: NameClaimsDeps

  constructor(deps: NameClaimsDeps) {
    this.#deps = deps
  }

  /**
   * From now on the name is that of this process, as it may be already.
   * @throws TroupeError `conflict` while it is another's; `unavailable` while that is not known
   */
  async take(worker: string, session: string): Promise<void> {
    const before = await this.#claimsOf(worker)
    const holder = before.at(-1)
    // Also where it is this one's already: somebody may have just found it to be gone.
    // Older ones, too: who withdrew behind one may not have told all of it.
    for (const one of before.toReversed()) await this.#requireGone(worker, one, session)
    // By the time as well: a claim may be forgotten while an older one is left.
    const number = Math.max((holder?.number ?? 0) + 1, this.#numberNow())
    const claimed = await this.#claim(keyOf(worker, number), session)
    if (claimed !== session) throw taken(worker)
    await this.#confirm(worker, { number, session }, before)
  }

  /** Looks who is gone, and forgets the names of those that have been for long. */
  async forgetLongGone(): Promise<void> {
    const { clock, keptMs = KEPT_MS } = this.#deps
    for (const [worker, claims] of await this.#allClaims()) {
      const holder = claims.at(-1)
      if (!holder) continue
      const { number, session, goneSinceMs } = holder
      if (!(await this.#isGone(worker, session))) {
        if (goneSinceMs !== undefined) await this.#put(worker, number, session)
      } else if (goneSinceMs === undefined) {
        await this.#put(worker, number, `${GONE} ${clock.now()} ${session}`)
      } else if (clock.now() - goneSinceMs >= keptMs) {
        // The newest last: where this is cut off, the older ones mean nothing.
        for (const one of claims) this.#remove(worker, one.number)
      }
    }
  }

  /** It has ended: whoever comes next need not ask for it. What fails here costs that one a question. */
  async leave(worker: string, session: string): Promise<void> {
    const holder = (await this.#claimsOf(worker).catch(() => [])).at(-1)
    if (holder?.session !== session) return
    await this.#put(worker, holder.number, NOBODY)
  }

  #numberNow(): number {
    return Math.floor(this.#deps.clock.now() / SAME_NUMBER_MS) * SAME_NUMBER_MS
  }

  async #isGone(worker: string, session: string): Promise<boolean> {
    return session === NOBODY || (await this.#deps.presenceOf(worker, session)) === 'gone'
  }

  #put(worker: string, number: number, value: string): Promise<unknown> {
    const key = keyOf(worker, number)
    return new Promise((resolve) => this.#deps.registry.put(key, Buffer.from(value), resolve))
  }

  /** A list may have missed what was removed while it was read: then there is a newer one. */
  async #confirm(
    worker: string,
    { number, session }: Pick<Held, 'number' | 'session'>,
    judged: readonly Held[],
  ): Promise<void> {
    const claims = await this.#claimsOf(worker)
    const newest = claims.at(-1)
    if (newest && newest.number > number && newest.session !== session) {
      this.#remove(worker, number)
      throw taken(worker)
    }
    const isJudged = (claim: Held) =>
      claim.session === NOBODY ||
      claim.session === session ||
      judged.some((one) => one.number === claim.number && one.session === claim.session)
    if (claims.some((one) => one.number < number && !isJudged(one))) {
      // Not removed: its number would come again.
      await this.#put(worker, number, NOBODY)
      throw unknown('another has come for it at once')
    }
    for (const older of claims) if (older.number < number) this.#remove(worker, older.number)
  }

  async #requireGone(worker: string, { session }: Held, next: string): Promise<void> {
    if (session === NOBODY || directoryOf(session) === directoryOf(next)) return
    const presence = await this.#deps.presenceOf(worker, session)
    if (presence === 'there') throw taken(worker)
    if (presence === 'gone') return
    // It may be about to end, or a machine that stands still.
    const why = `something under the name ${worker} is connected and does not say who it is`
    throw new TroupeError('unavailable', why)
  }

  /** By their numbers. */
  async #claimsOf(worker: string): Promise<Held[]> {
    return (await this.#allClaims(keyOf(worker, ''))).get(worker) ?? []
  }

  /** By worker, and each by their numbers. */
  async #allClaims(prefix = PREFIX): Promise<Map<string, Held[]>> {
    const outcome = await new Promise<RegistryListOutcome>((resolve) =>
      this.#deps.registry.list(prefix, resolve),
    )
    if (outcome.kind === 'unknown') throw unknown(outcome.why)
    const found = new Map<string, Held[]>()
    for (const { key, value } of outcome.entries) {
      const end = key.lastIndexOf('.')
      const worker = key.slice(PREFIX.length, end)
      const claims = found.get(worker) ?? []
      found.set(worker, claims)
      claims.push({
        number: Number(key.slice(end + 1)),
        ...readHeld(Buffer.from(value).toString()),
      })
    }
    for (const claims of found.values()) claims.sort((a, b) => a.number - b.number)
    return found
  }

  /** Who has it now. */
  async #claim(key: string, session: string): Promise<string> {
    const outcome = await new Promise<ClaimOutcome>((resolve) =>
      this.#deps.registry.claim(key, Buffer.from(session), resolve),
    )
    if (outcome.kind === 'unknown') throw unknown(outcome.why)
    return outcome.kind === 'won' ? session : Buffer.from(outcome.value).toString()
  }

  /** What stays is removed by whoever has the name next. */
  #remove(worker: string, number: number): void {
    this.#deps.registry.remove(keyOf(worker, number), () => {})
  }
}

function readHeld(value: string): Omit<Held, 'number'> {
  const [mark, ms, session] = value.split(' ')
  if (mark !== GONE || session === undefined) return { session: value, goneSinceMs: undefined }
  return { session, goneSinceMs: Number(ms) }
}

/** A data directory is one process's at a time, so the one before has ended. */
function directoryOf(session: string): string {
  const end = session.indexOf(':')
  return end < 0 ? session : session.slice(0, end)
}

function keyOf(worker: string, number: number | ''): string {
  return `${PREFIX}${worker}.${number}`
}

function taken(worker: string): TroupeError {
  const why = `another worker ${worker} is there: start this one with another --name`
  return new TroupeError('conflict', why)
}

function unknown(why: string): TroupeError {
  return new TroupeError('unavailable', `whose a name is cannot be looked up now: ${why}`)
}
