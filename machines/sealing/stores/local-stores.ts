/**
 * The local stores of one worker. Decides: that each is held before it is used, for as long as the worker
 * lives and nobody took it, and opened once under whatever name. Leaves to others: what lies in them.
 */
import { type Clock, type Log, TroupeError } from '../../../src/index.ts'
import { holdStore, type StoreHold } from './holder.ts'
import { HolderWatch } from './holder-record.ts'
import { canonicalLocation, LocalStore } from './local-store.ts'
import { QUARANTINE_RETENTION_MS, type QuarantineEntry } from './quarantine.ts'

export interface LocalStoresDeps {
  clock: Clock
  log: Log
  /** Default: seven days. */
  retentionMs?: number
  /** Under each name that it was asked for by: it is not ours any more, and can be opened anew. */
  onLost?: (location: string, why: string) => void
}

/** Data of an aborted sector, and the store that it lies in. */
export interface QuarantinedSector extends Omit<QuarantineEntry, 'taskId'> {
  /** The canonical path of the store. */
  location: string
}

export class LocalStores {
  readonly #deps: LocalStoresDeps
  /** By canonical path, as what follows. */
  readonly #holds = new Map<string, StoreHold>()
  readonly #watches = new Map<string, HolderWatch>()
  readonly #stores = new Map<string, Promise<LocalStore>>()
  /** By whatever path it was asked for: steps do so all the time. */
  readonly #known = new Map<string, LocalStore>()

  constructor(deps: LocalStoresDeps) {
    this.#deps = deps
  }

  /** @throws TroupeError `conflict` when another process holds it */
  async open(location: string): Promise<LocalStore> {
    const known = this.#known.get(location)
    if (known) return known
    const canonical = await canonicalLocation(location)
    let opening = this.#stores.get(canonical)
    if (opening === undefined) {
      opening = this.#hold(canonical)
      this.#stores.set(canonical, opening)
      // What is in the way now may be gone at the next try.
      opening.catch(() => this.#stores.delete(canonical))
    }
    const store = await opening
    if (this.#stores.get(canonical) !== opening) {
      const why = `the store ${canonical} was lost while it was opened: open it again`
      throw new TroupeError('conflict', why)
    }
    this.#known.set(location, store)
    return store
  }

  /** Deletes what may go of all quarantines. One store that cannot be read does not keep the others from it. */
  async sweep(): Promise<void> {
    const { clock, log, retentionMs = QUARANTINE_RETENTION_MS } = this.#deps
    for (const [location, opening] of this.#stores) {
      try {
        const removed = await (await opening).quarantine.sweep(clock.now(), retentionMs)
        if (removed.length > 0) log.info({ location, removed }, 'quarantined data were deleted')
      } catch (thrown) {
        log.warn({ location, error: String(thrown) }, 'the quarantine of a store cannot be swept')
      }
    }
  }

  /** What lies in the quarantines of all stores that are open. */
  async quarantined(): Promise<QuarantinedSector[]> {
    const found: QuarantinedSector[] = []
    for (const [location, opening] of this.#stores) {
      try {
        for (const entry of await (await opening).quarantine.list()) {
          const { name, sector, at, reason, acknowledged } = entry
          found.push({ location, name, sector, at, reason, acknowledged })
        }
      } catch (thrown) {
        const fields = { location, error: String(thrown) }
        this.#deps.log.warn(fields, 'the quarantine of a store cannot be read')
      }
    }
    return found
  }

  /**
   * A person's word that nobody counts on that sector any more: its data go after the retention.
   * @throws TroupeError `not-found` when there is no such store or entry
   */
  async acknowledge(location: string, name: string): Promise<void> {
    const opening = this.#stores.get(location)
    if (opening === undefined) {
      const known = [...this.#stores.keys()].join(', ') || 'none'
      const why = `no store "${location.slice(0, 200)}" is open in this worker (there are: ${known})`
      throw new TroupeError('not-found', why)
    }
    await (await opening).quarantine.acknowledge(name)
  }

  /** Once no step runs any more: another worker may have them. */
  close(): void {
    for (const hold of this.#holds.values()) hold.release()
    this.#holds.clear()
    this.#stores.clear()
    this.#known.clear()
  }

  async #hold(canonical: string): Promise<LocalStore> {
    const { clock } = this.#deps
    const watch = this.#watches.get(canonical) ?? new HolderWatch(clock)
    this.#watches.set(canonical, watch)
    const onLost = (why: string) => this.#lose(canonical, why)
    const hold = holdStore(canonical, { clock, watch, onLost })
    this.#holds.set(canonical, hold)
    try {
      return await LocalStore.open(canonical)
    } catch (thrown) {
      hold.release()
      this.#holds.delete(canonical)
      throw thrown
    }
  }

  #lose(canonical: string, why: string): void {
    this.#holds.delete(canonical)
    this.#stores.delete(canonical)
    for (const [location, store] of this.#known) {
      if (store.location !== canonical) continue
      this.#known.delete(location)
      this.#deps.onLost?.(location, why)
    }
  }
}
