/**
 * What the file of a store says of who holds it, and whether that one still lives. Decides: a process of this
 * boot and pid namespace is looked at itself, known by pid and start time, so that a pid that was given out
 * again is nobody's excuse; any other one, on another host or in another container, is dead once its heartbeat
 * has stood still for a while by our own clock, whatever its clock says.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { z } from 'zod'
import { bootId, type Clock, processIdentityOf, processLives } from '../../../src/index.ts'
import { isMissing } from './durable.ts'

export const BEAT_MS = 5_000
/** Of a heartbeat that stands still; it may be late for a disk that is busy. */
export const SILENT_MS = 3 * BEAT_MS
const BEAT_DIGITS = 12

const holderRecord = z.object({
  /** Drawn for each hold: no two have the same. */
  id: z.uuid(),
  pid: z.int().min(1),
  /** Clock ticks from boot to the start of the process. */
  startTicks: z.int(),
  bootId: z.string(),
  /** Within which the pid means something: `pid:[4026531836]`. */
  pidNamespace: z.string(),
  host: z.string(),
  /** Counts up, in digits of one number, so that it is written over in place. */
  beat: z.string().length(BEAT_DIGITS),
})
export type Holder = z.infer<typeof holderRecord>

/** Of what cannot be read: it was written in one go, so a loss of power has cut it, and nobody has it. */
export const UNREADABLE = 'unreadable'

/** Undefined when there is no such file. */
export function readHolder(path: string): Holder | typeof UNREADABLE | undefined {
  try {
    return parseHolder(readFileSync(path, 'utf8'))
  } catch (thrown) {
    if (isMissing(thrown)) return undefined
    throw thrown
  }
}

export function parseHolder(text: string): Holder | typeof UNREADABLE {
  try {
    return holderRecord.parse(JSON.parse(text))
  } catch {
    return UNREADABLE
  }
}

/** This process, as the holder of one more store. */
export function newHolder(): Holder {
  const { pid } = process
  return {
    ...{ id: randomUUID(), pid, startTicks: processIdentityOf(pid)?.startTicks ?? 0 },
    ...{ bootId: bootId(), pidNamespace: pidNamespace(), host: hostname() },
    beat: beatOf(0),
  }
}

/** All of one holder's have the same length. */
export function beatOf(count: number): string {
  return String(count).padStart(BEAT_DIGITS, '0')
}

/** Remembers what it heard of a holder that it cannot look at itself, and what was given up here. */
export class HolderWatch {
  readonly #clock: Clock
  /** Of the last hold of this process that is over; its record may stand where nothing can be removed. */
  #over: string | undefined
  #heard: { id: string; beat: string; ms: number; untilAt: string } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** This process lives on, but not as that holder. */
  giveUp(id: string): void {
    this.#over = id
  }

  /** Why it is to be left alone; undefined when it is dead. */
  objection(holder: Holder): string | undefined {
    const { id, beat, pid, host } = holder
    if (id === this.#over) return undefined
    if (isWithinSight(holder)) {
      return processLives(holder) ? `the process ${pid}` : undefined
    }
    const nowMs = this.#clock.monotonic()
    const heard = this.#heard
    if (heard?.id !== id || heard.beat !== beat) {
      const untilAt = new Date(this.#clock.now() + SILENT_MS).toISOString()
      this.#heard = { id, beat, ms: nowMs, untilAt }
      if (heard?.id === id) return `the process ${pid} on host ${host}, which gives signs of life`
    }
    const { ms = nowMs, untilAt } = this.#heard ?? {}
    if (nowMs - ms >= SILENT_MS) return undefined
    return `the process ${pid} on host ${host} (taken over if it stays silent until ${untilAt})`
  }
}

function isWithinSight(holder: Holder): boolean {
  return holder.bootId === bootId() && holder.pidNamespace === pidNamespace()
}

function pidNamespace(): string {
  return readlinkSync('/proc/self/ns/pid')
}
