/**
 * What a process writes down as it goes: one line of JSON each, in a file that outlives it. Decides: what
 * stands in it beside the events of the simulator: of slots, what was tried and what was seen. Which slots
 * there were, and in which order, is found out when the records of all processes are put together
 * (gather.ts).
 */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { Happening } from '../../simulation/events.ts'
import { monotonicMs } from './monotonic.ts'

export type Raw =
  /** It is about to be sent. `record` in base64; empty when this process has recorded it before. */
  | {
      kind: 'write-began'
      node: string
      shard: number
      slot: number
      hash: string
      record: string
    }
  /** The journal has said that a slot holds this record. */
  | {
      kind: 'slot-seen'
      node: string
      shard: number
      slot: number
      hash: string
      sequence: number
    }
  | { kind: 'checkpoints-removed'; node: string; shard: number; below: number }

export type Recorded = (Happening | Raw) & { at: number }

export class EventFile {
  readonly #fd: number

  constructor(file: string) {
    this.#fd = openSync(file, 'a')
  }

  /**
   * With the operating system when it returns: a process that is killed loses none. It begins a line: the
   * one before may have been cut short by a kill.
   */
  add(event: Happening | Raw): void {
    writeSync(this.#fd, `\n${JSON.stringify({ ...event, at: monotonicMs() })}`)
  }

  close(): void {
    closeSync(this.#fd)
  }
}

export function readEvents(file: string): Recorded[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((line) => parsed(line))
}

/** A kill may have cut a line short. */
function parsed(line: string): Recorded[] {
  if (!line.endsWith('}')) return []
  return [JSON.parse(line) as Recorded]
}
