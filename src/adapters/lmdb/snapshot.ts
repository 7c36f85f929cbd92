/**
 * A long read of one LMDB environment: a read transaction that stays open.
 *
 * Decides: when it ends. As long as it is open LMDB reuses none of the pages that were freed since it
 * began, so the file grows with every commit: hence the limit.
 */
import type { Database, Transaction } from 'lmdb'
import type { StorePage, StoreRow, StoreSnapshot } from '../../ports/index.ts'

export class LmdbSnapshot implements StoreSnapshot {
  private readonly rows: Database<Uint8Array, Uint8Array>
  private readonly closed: () => void
  private readonly timer: NodeJS.Timeout
  private transaction: Transaction | undefined

  constructor(rows: Database<Uint8Array, Uint8Array>, openMaxMs: number, closed: () => void) {
    this.rows = rows
    this.closed = closed
    this.transaction = rows.useReadTransaction()
    this.timer = setTimeout(() => this.close(), openMaxMs)
    this.timer.unref()
  }

  page({ from, to, bytesMax }: StorePage): StoreRow[] | undefined {
    const { transaction } = this
    if (!transaction) return undefined
    const found: StoreRow[] = []
    if (Buffer.compare(from, to) >= 0) return found
    let bytes = 0
    for (const row of this.rows.getRange({ start: from, end: to, transaction })) {
      found.push(row)
      bytes += row.key.length + row.value.length
      if (bytes >= bytesMax) break
    }
    return found
  }

  close(): void {
    if (!this.transaction) return
    clearTimeout(this.timer)
    this.transaction.done()
    this.transaction = undefined
    this.closed()
  }
}
