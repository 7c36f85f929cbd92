/**
 * Whether a disk can be trusted. Decides: which failures of an operation are the disk's (all that are not
 * known to pass: an error of a flush or a read says that what was written may be gone), and that a broken disk
 * stays broken: it is never asked again. A full disk, and a process without descriptors or memory, are
 * not broken.
 */
import { refusal, StorageRefusal } from '../codes/index.ts'
import { errnoOf } from './file-ops.ts'

const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT'])
const PASSING: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'])

export function isFull(thrown: unknown): boolean {
  return FULL.has(errnoOf(thrown))
}

export class DiskHealth {
  readonly directory: string
  readonly #onBroken: (why: string) => void
  #broken: string | undefined

  constructor(directory: string, onBroken: (why: string) => void) {
    this.directory = directory
    this.#onBroken = onBroken
  }

  /** Why; undefined as long as it is not. */
  get broken(): string | undefined {
    return this.#broken
  }

  /** @throws StorageRefusal 613 */
  check(): void {
    if (this.#broken !== undefined) throw this.#refusal()
  }

  break(why: string): StorageRefusal {
    if (this.#broken === undefined) {
      this.#broken = why
      this.#onBroken(why)
    }
    return this.#refusal()
  }

  /** What callers hear of an operation that failed. */
  refusalOf(thrown: unknown, doing: string): StorageRefusal {
    if (this.#broken !== undefined) return this.#refusal()
    const why = `${doing}: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    if (isFull(thrown)) {
      return refusal(615, `the disk ${this.directory} is full: ${why}; delete blobs or add disks`)
    }
    if (PASSING.has(errnoOf(thrown))) {
      return refusal(604, `the disk ${this.directory} cannot be used just now: ${why}; try again`)
    }
    return this.break(why)
  }

  /** @throws StorageRefusal 613, what the operation refuses itself, and what `refusalOf` makes of a failure */
  async guard<T>(doing: string, operation: () => Promise<T>): Promise<T> {
    this.check()
    try {
      return await operation()
    } catch (thrown) {
      throw thrown instanceof StorageRefusal ? thrown : this.refusalOf(thrown, doing)
    }
  }

  #refusal(): StorageRefusal {
    const why = this.#broken ?? 'unknown'
    return refusal(613, `the disk ${this.directory} is broken: ${why}; repair its chunks elsewhere`)
  }
}
