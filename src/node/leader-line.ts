/**
 * Asking whoever leads, from any node. Decides: how long it is looked for who leads and answers, and that
 * every question may be asked again, since an answer may be lost with the node that gave it. Leaves to
 * others: who leads (cluster/), what is asked (cluster-shards.ts, apps).
 */
import type { Clock } from '../ports/index.ts'
import { type ErrorRecord, TroupeError, toErrorRecord } from '../protocol/index.ts'
import type { PeerOutcome, Peers } from './peers.ts'

/** Whatever it returns can be packed. What it throws is thrown where it was asked. */
export type LeaderAnswer = (told: unknown) => unknown

export interface LeaderLine {
  /** Undefined while nobody is heard to lead. */
  name(): string | undefined
  /** How this node answers while it leads. */
  on(question: string, answer: LeaderAnswer): void
  /** @throws TroupeError as the leader answers; `unavailable` where nobody leads, `no-answer` */
  ask(question: string, told?: unknown, options?: { timeoutMs?: number }): Promise<unknown>
}

/** As long as the next leader takes to be heard, and to have read what was before. */
const ASK_MS = 8_000
const AGAIN_MS = 200

/** Of a node that has everything to itself. */
export class OwnLeader implements LeaderLine {
  readonly #name: string
  readonly #answers = new Map<string, LeaderAnswer>()

  constructor(name: string) {
    this.#name = name
  }

  name(): string {
    return this.#name
  }

  on(question: string, answer: LeaderAnswer): void {
    this.#answers.set(question, answer)
  }

  async ask(question: string, told?: unknown): Promise<unknown> {
    const answer = this.#answers.get(question)
    if (!answer) throw unknown(question)
    return answer(told)
  }
}

export interface ClusterLeaderDeps {
  name: string
  peers: Peers
  clock: Clock
  /** Who is heard to lead. */
  leader: () => string | undefined
  /** Whether this node leads, and may act. */
  leads: () => boolean
}

type TooLarge = Extract<PeerOutcome, { kind: 'too-large' }>
type Answered = { isOver: true; value: unknown } | { isOver: false; error: TroupeError }

export class ClusterLeader implements LeaderLine {
  readonly #deps: ClusterLeaderDeps
  readonly #own: OwnLeader

  constructor(deps: ClusterLeaderDeps) {
    this.#deps = deps
    this.#own = new OwnLeader(deps.name)
    deps.peers.on('leader', (question, told) => this.#answer(String(question), told))
  }

  name(): string | undefined {
    return this.#deps.leader()
  }

  on(question: string, answer: LeaderAnswer): void {
    this.#own.on(question, answer)
  }

  async ask(question: string, told?: unknown, { timeoutMs = ASK_MS } = {}): Promise<unknown> {
    const { clock } = this.#deps
    const endMs = clock.monotonic() + timeoutMs
    for (;;) {
      const answer = await this.#within(endMs - clock.monotonic(), this.#try(question, told))
      if (answer.isOver) return answer.value
      if (!answer.error.retry || clock.monotonic() + AGAIN_MS >= endMs) throw answer.error
      await new Promise<void>((resolve) => clock.after(AGAIN_MS, resolve))
    }
  }

  /** Neither one who stands still nor a report that does not end is waited for any longer. */
  #within(timeoutMs: number, answer: Promise<Answered>): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const leader = this.name() ?? ''
      const cancel = this.#deps.clock.after(Math.max(0, timeoutMs), () => resolve(silent(leader)))
      answer.finally(cancel).then(resolve, reject)
    })
  }

  async #try(question: string, told: unknown): Promise<Answered> {
    const leader = this.name()
    if (leader === undefined) return failed('unavailable', 'nobody leads the cluster now')
    const { peers, name } = this.#deps
    if (leader === name) return answered(await this.#answer(question, told))
    const outcome = await peers.inquire(leader, 'leader', question, told ?? null)
    switch (outcome.kind) {
      case 'answer':
        return answered(outcome.answer)
      case 'silence':
        return silent(leader)
      case 'too-large':
        return tooLarge(leader, outcome)
    }
  }

  /** The failure of a question is an answer, too. */
  async #answer(question: string, told: unknown): Promise<['ok' | 'error', unknown]> {
    try {
      if (!this.#deps.leads()) {
        const why = `the node ${this.#deps.name} does not lead the cluster now`
        throw new TroupeError('unavailable', why)
      }
      return ['ok', await this.#own.ask(question, told)]
    } catch (thrown) {
      return ['error', toErrorRecord(thrown)]
    }
  }
}

function answered([how, value]: readonly unknown[]): Answered {
  if (how === 'ok') return { isOver: true, value }
  return { isOver: false, error: TroupeError.from(value as ErrorRecord) }
}

function failed(code: 'unavailable' | 'no-answer' | 'too-large', why: string): Answered {
  return { isOver: false, error: new TroupeError(code, why) }
}

function silent(leader: string): Answered {
  return failed('no-answer', `the node ${leader}, which leads the cluster, does not answer`)
}

/** To ask again would not make it smaller. */
function tooLarge(leader: string, { what, bytesMax }: TooLarge): Answered {
  const which = what === 'request' ? 'a question to' : 'the answer of'
  const why = `${which} the node ${leader}, which leads the cluster, is larger than the ${bytesMax} bytes that can be sent (max_payload)`
  return failed('too-large', why)
}

function unknown(question: string): TroupeError {
  const why = `the leader does not know the question ${question}: it may run another version`
  return new TroupeError('not-found', why)
}
