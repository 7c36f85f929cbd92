/**
 * Rows of many runs, one after the other: of each key its last change.
 *
 * Decides: how keys are told apart: by a table of their hashes over the bytes where they lie. A text for
 * each key, as a Map wants it, would cost more than all else that is done with the row. A Map has only the
 * keys that find no place near that of their hash: ids are chosen by users, who may choose many of one hash.
 * Leaves to others: the form of the rows (row-run.ts).
 */
import type { StoreWrite } from '../ports/index.ts'
import { eachRow, type RowRun, rowAt, viewOf } from './row-run.ts'

/** Numbers that are kept of each row: those that `eachRow` tells, and two more. */
const WIDTH = 5
const HASH = 0
const RUN = 1
const KEY_AT = 2
const KEY_LENGTH = 3
const VALUE_LENGTH = 4

/** Rows in the first table; it doubles. */
const ROWS_MIN = 1_024
/** Places of the table for each row: half of them stay empty at least, so that a search is short. */
const PLACES = 2
/** Places that are looked at for a key. With half of them empty hardly any key needs more, if nobody wills it. */
const SEARCHED_MAX = 32

export class RowFold {
  readonly #runs: { run: RowRun; view: DataView }[] = []
  #rows = new Int32Array(ROWS_MIN * WIDTH)
  /** Numbers of rows from 1 on, at the place of their hash or behind it; 0 is an empty place. */
  #table = new Int32Array(ROWS_MIN * PLACES)
  /** Numbers of rows that found no place there, by the text of their keys. */
  readonly #crowded = new Map<string, number>()
  #count = 0

  /** What it changes takes the place of what runs before it have changed. */
  add(run: RowRun): void {
    this.#makeRoom(this.#count + run.count)
    const view = viewOf(run.bytes)
    const number = this.#runs.push({ run, view }) - 1
    const rows = this.#rows
    eachRow(run, (keyAt, keyLength, valueLength) => {
      const hash = hashOf(view, keyAt, keyLength)
      const at = this.#find(hash, view, keyAt, keyLength)
      rows[at + HASH] = hash
      rows[at + RUN] = number
      rows[at + KEY_AT] = keyAt
      rows[at + KEY_LENGTH] = keyLength
      rows[at + VALUE_LENGTH] = valueLength
    })
  }

  /** In the order in which the keys were met first. The bytes are those of the runs. */
  writes(): StoreWrite[] {
    const writes = new Array<StoreWrite>(this.#count)
    for (let row = 0; row < this.#count; row++) {
      const at = row * WIDTH
      const { run } = this.#runs[this.#number(at + RUN)]!
      const keyAt = this.#number(at + KEY_AT)
      const keyLength = this.#number(at + KEY_LENGTH)
      writes[row] = rowAt(run, keyAt, keyLength, this.#number(at + VALUE_LENGTH))
    }
    return writes
  }

  /** Where the row of this key is kept; a new one gets the next place. */
  #find(hash: number, view: DataView, keyAt: number, keyLength: number): number {
    const table = this.#table
    const mask = table.length - 1
    for (let searched = 0; searched < SEARCHED_MAX; searched++) {
      const place = (hash + searched) & mask
      const row = table[place] ?? 0
      if (row === 0) {
        table[place] = ++this.#count
        return (this.#count - 1) * WIDTH
      }
      const at = (row - 1) * WIDTH
      if (this.#number(at + HASH) === hash && this.#holds(at, view, keyAt, keyLength)) return at
    }
    return this.#findCrowded(textOf(view, keyAt, keyLength))
  }

  #findCrowded(key: string): number {
    let row = this.#crowded.get(key)
    if (row === undefined) {
      row = ++this.#count
      this.#crowded.set(key, row)
    }
    return (row - 1) * WIDTH
  }

  #holds(at: number, view: DataView, keyAt: number, keyLength: number): boolean {
    if (this.#number(at + KEY_LENGTH) !== keyLength) return false
    const known = this.#runs[this.#number(at + RUN)]!.view
    const knownAt = this.#number(at + KEY_AT)
    for (let index = 0; index < keyLength; index++) {
      if (known.getUint8(knownAt + index) !== view.getUint8(keyAt + index)) return false
    }
    return true
  }

  #makeRoom(count: number): void {
    let rowsMax = this.#rows.length / WIDTH
    if (count <= rowsMax) return
    while (rowsMax < count) rowsMax *= 2
    const rows = new Int32Array(rowsMax * WIDTH)
    rows.set(this.#rows)
    this.#rows = rows
    this.#table = new Int32Array(rowsMax * PLACES)
    this.#crowded.clear()
    for (let row = 1; row <= this.#count; row++) this.#place(row)
  }

  #place(row: number): void {
    const table = this.#table
    const mask = table.length - 1
    const at = (row - 1) * WIDTH
    const hash = this.#number(at + HASH)
    for (let searched = 0; searched < SEARCHED_MAX; searched++) {
      const place = (hash + searched) & mask
      if (table[place] !== 0) continue
      table[place] = row
      return
    }
    const { view } = this.#runs[this.#number(at + RUN)]!
    const key = textOf(view, this.#number(at + KEY_AT), this.#number(at + KEY_LENGTH))
    this.#crowded.set(key, row)
  }

  #number(at: number): number {
    return this.#rows[at] ?? 0
  }
}

function textOf({ buffer, byteOffset }: DataView, at: number, length: number): string {
  return Buffer.from(buffer, byteOffset + at, length).toString('latin1')
}

/** Four bytes at a time; keys differ at their ends, so that the last ones are mixed through. */
function hashOf(view: DataView, at: number, length: number): number {
  let hash = length
  let rest = at
  for (const words = at + (length & ~3); rest < words; rest += 4) {
    hash = Math.imul((hash ^ view.getInt32(rest, true)) | 0, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  for (; rest < at + length; rest++) {
    hash = Math.imul(hash ^ view.getUint8(rest), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}
