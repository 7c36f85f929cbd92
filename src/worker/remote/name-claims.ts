/**
 * Whose a worker's name is, among all nodes of a cluster.
 *
 * Decides: that a name goes from process to process by numbered claims that are created once each, so that
 * of two that come in the same moment one is let in; that it goes on only when nobody answers as the
 * process that has it, or to the next process on its data directory, which a session names before its
 * colon. Leaves to others: how a process is asked, what it may do under its name.
 */
import type { ClaimOutcome, Registry, RegistryListOutcome } from '../../ports/index.ts'
import { TroupeError } from '../../protocol/index.ts'

/** `unclear`: it is connected and says nothing. */
export type Presence = 'there' | 'gone' | 'unclear'

export interface NameClaimsDeps {
  registry: Pick<Registry, 'claim' | 'put' | 'list' | 'remove'>
  /** Whether that process runs. It has to answer before it asks for its name. */
  presenceOf: (worker: string, session: string) => Promise<Presence>
}

/** Instead of a process that has said that it ends. */
const NOBODY = ''

interface Held {
  number: number
  session: string
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
    const holder = (await this.#claimsOf(worker)).at(-1)
    if (holder?.session === session) return
    if (holder) await this.#requireGone(worker, holder, session)
    const number = (holder?.number ?? 0) + 1
    const claimed = await this.#claim(keyOf(worker, number), session)
    if (claimed !== session) throw taken(worker)
    await this.#confirm(worker, number)
  }

  /** It has ended: whoever comes next need not ask for it. What fails here costs that one a question. */
  async leave(worker: string, session: string): Promise<void> {
    const holder = (await this.#claimsOf(worker).catch(() => [])).at(-1)
    if (holder?.session !== session) return
    const key = keyOf(worker, holder.number)
    await new Promise((resolve) => this.#deps.registry.put(key, Buffer.from(NOBODY), resolve))
  }

  /** A list may have missed what was removed while it was read: then there is a newer one. */
  async #confirm(worker: string, number: number): Promise<void> {
    const claims = await this.#claimsOf(worker)
    if ((claims.at(-1)?.number ?? number) > number) {
      this.#remove(worker, number)
      throw taken(worker)
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
    const prefix = keyOf(worker, '')
    const outcome = await new Promise<RegistryListOutcome>((resolve) =>
      this.#deps.registry.list(prefix, resolve),
    )
    if (outcome.kind === 'unknown') throw unknown(outcome.why)
    return outcome.entries
      .map(({ key, value }) => ({
        number: Number(key.slice(prefix.length)),
        session: Buffer.from(value).toString(),
      }))
      .sort((a, b) => a.number - b.number)
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

/** A data directory is one process's at a time, so the one before has ended. */
function directoryOf(session: string): string {
  const end = session.indexOf(':')
  return end < 0 ? session : session.slice(0, end)
}

function keyOf(worker: string, number: number | ''): string {
  return `worker.${worker}.${number}`
}

function taken(worker: string): TroupeError {
  const why = `another worker ${worker} is there: start this one with another --name`
  return new TroupeError('conflict', why)
}

function unknown(why: string): TroupeError {
  return new TroupeError('unavailable', `whose a name is cannot be looked up now: ${why}`)
}
