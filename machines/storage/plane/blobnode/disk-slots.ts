/**
 * How many calls work on one disk at a time. Decides: that clients go before what nobody waits for, that
 * neither starves the other, and that what would wait behind too many is refused at once: a queue that only
 * grows answers nobody in time.
 */
import { refusal } from '../codes/index.ts'
import { type IoKind, isBackground } from './io-kinds.ts'

export interface SlotLimits {
  /** At work at a time: what one flush of a chunk can take together. */
  atWork: number
  /** Of these, for repair and the like. Clients leave them one slot. */
  backgroundAtWork: number
  waiting: number
  backgroundWaiting: number
}

/** A disk with ten flushes a second still answers the last of 512 within a minute, and most within seconds. */
export const SLOT_LIMITS: SlotLimits = {
  atWork: 64,
  backgroundAtWork: 16,
  waiting: 512,
  backgroundWaiting: 64,
}

interface Waiter {
  isGone: () => boolean
  begin: () => void
  /** Whoever asked has gone: its turn is the next one's. */
  cancel: () => void
}

/** One of both classes of traffic. */
interface Lane {
  atWork: number
  readonly atWorkMax: number
  readonly waiting: Waiter[]
  readonly waitingMax: number
  /** What refuses it when too many wait. */
  readonly refusal: number
}

export interface SlotFigures {
  at_work: number
  waiting: number
  background_at_work: number
  background_waiting: number
}

export class DiskSlots {
  readonly #disk: number
  readonly #atWorkMax: number
  readonly #clients: Lane
  readonly #background: Lane

  constructor(disk: number, limits: SlotLimits = SLOT_LIMITS) {
    const { atWork, backgroundAtWork, waiting, backgroundWaiting } = limits
    this.#disk = disk
    this.#atWorkMax = atWork
    this.#clients = laneOf(Math.max(1, atWork - 1), waiting, 604)
    this.#background = laneOf(backgroundAtWork, backgroundWaiting, 673)
  }

  /**
   * Resolves with what gives the slot back.
   * @param isUnderWay a further piece of something that has begun: it waits, and is not refused
   * @throws StorageRefusal 604, 673; 676 when nobody wants it any more
   */
  take(kind: IoKind, isGone: () => boolean, isUnderWay = false): Promise<() => void> {
    const lane = isBackground(kind) ? this.#background : this.#clients
    if (lane.waiting.length === 0 && this.#hasRoom(lane)) return Promise.resolve(this.#begun(lane))
    if (lane.waiting.length >= lane.waitingMax && !isUnderWay) {
      const why = `disk ${this.#disk} has ${lane.waiting.length} calls waiting already: try again later`
      return Promise.reject(refusal(lane.refusal, why))
    }
    return new Promise((resolve, reject) => {
      const begin = () => resolve(this.#begun(lane))
      const cancel = () => reject(refusal(676, 'the caller has gone'))
      lane.waiting.push({ isGone, begin, cancel })
    })
  }

  figures(): SlotFigures {
    return {
      at_work: this.#clients.atWork,
      waiting: this.#clients.waiting.length,
      background_at_work: this.#background.atWork,
      background_waiting: this.#background.waiting.length,
    }
  }

  #hasRoom(lane: Lane): boolean {
    const all = this.#clients.atWork + this.#background.atWork
    return lane.atWork < lane.atWorkMax && all < this.#atWorkMax
  }

  #begun(lane: Lane): () => void {
    lane.atWork += 1
    let isBack = false
    return () => {
      if (isBack) return
      isBack = true
      lane.atWork -= 1
      this.#next(this.#clients)
      this.#next(this.#background)
    }
  }

  #next(lane: Lane): void {
    while (this.#hasRoom(lane)) {
      const waiter = lane.waiting.shift()
      if (waiter === undefined) return
      if (waiter.isGone()) waiter.cancel()
      else waiter.begin()
    }
  }
}

function laneOf(atWorkMax: number, waitingMax: number, number: number): Lane {
  return { atWork: 0, atWorkMax, waiting: [], waitingMax, refusal: number }
}
