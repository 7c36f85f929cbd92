/**
 * The embedded commit path: one flushed transaction of the store per batch, on condition that this
 * process still owns the directory (a second process on it makes the older one stop).
 */
import type { Store } from '../ports/index.ts'
import { unpack } from '../protocol/index.ts'
import type { CommitOutcome, CommitPath, CommitRequest, TakeOutcome } from './commit.ts'
import { metaKey } from './keys.ts'

export interface OwnerCondition {
  key: Uint8Array
  equals: Uint8Array
}

const OWNED_BY_ANOTHER = 'another process owns this data directory'

export class EmbeddedCommit implements CommitPath {
  readonly durability = 'flushed'
  readonly journaled = false
  readonly #shard: number
  readonly #store: Store
  readonly #owner: OwnerCondition

  constructor(shard: number, store: Store, owner: OwnerCondition) {
    this.#shard = shard
    this.#store = store
    this.#owner = owner
  }

  take(done: (outcome: TakeOutcome) => void): void {
    const bytes = this.#store.get(metaKey(this.#shard))
    const slot = bytes ? (unpack(bytes) as [number])[0] : 0
    done({ kind: 'taken', nextSlot: slot + 1 })
  }

  commit(request: CommitRequest, done: (outcome: CommitOutcome) => void): void {
    this.#store.write({
      writes: request.writes,
      condition: this.#owner,
      flushed: () => done({ kind: 'committed' }),
      failed: ({ kind, message }) =>
        done(
          kind === 'fenced'
            ? { kind: 'lost', why: OWNED_BY_ANOTHER }
            : { kind: 'failed', why: message },
        ),
    })
  }

  confirm(done: (outcome: CommitOutcome) => void): void {
    const why = this.whyLost()
    done(why === undefined ? { kind: 'committed' } : { kind: 'lost', why })
  }

  whyLost(): string | undefined {
    const owner = this.#store.get(this.#owner.key)
    const isMine = owner !== undefined && Buffer.compare(owner, this.#owner.equals) === 0
    return isMine ? undefined : OWNED_BY_ANOTHER
  }

  /** Nobody else can have it while this process owns the directory. */
  release(_to: string, done: (outcome: CommitOutcome) => void): void {
    done({ kind: 'committed' })
  }

  stop(): void {}
}
