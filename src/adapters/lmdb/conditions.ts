/**
 * The conditions of the transactions of one group.
 *
 * Decides: whether the row of a condition has the expected bytes once the transactions before it
 * are applied. Only rows that a condition names are followed, so a row that none names costs one
 * comparison of lengths. That the committed rows cannot change meanwhile is the store's promise:
 * one group at a time, and nobody else may write (store.ts).
 */
import type { StoreTransaction, StoreWrite } from '../../ports/index.ts'

interface FollowedRow {
  key: Uint8Array
  value: Uint8Array | undefined
}

export class Conditions {
  private readonly readCommitted: (key: Uint8Array) => Uint8Array | undefined
  private readonly accepted: (readonly StoreWrite[])[] = []
  private readonly followed: FollowedRow[] = []

  constructor(readCommitted: (key: Uint8Array) => Uint8Array | undefined) {
    this.readCommitted = readCommitted
  }

  /** Takes the transaction into account if its condition holds. */
  accept({ condition, writes }: StoreTransaction): boolean {
    if (condition !== undefined) {
      const row = this.follow(condition.key)
      if (row.value === undefined || !sameBytes(row.value, condition.equals)) return false
    }
    this.accepted.push(writes)
    for (const row of this.followed) applyTo(row, writes)
    return true
  }

  private follow(key: Uint8Array): FollowedRow {
    const known = this.followed.find((row) => sameBytes(row.key, key))
    if (known !== undefined) return known
    const row: FollowedRow = { key, value: this.readCommitted(key) }
    for (const writes of this.accepted) applyTo(row, writes)
    this.followed.push(row)
    return row
  }
}

function applyTo(row: FollowedRow, writes: readonly StoreWrite[]): void {
  for (const [key, value] of writes) {
    if (key.length === row.key.length && sameBytes(key, row.key)) row.value = value ?? undefined
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a[0] === b[0] && Buffer.compare(a, b) === 0
}
