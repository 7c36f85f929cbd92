/**
 * The consumers of one queue on this node.
 *
 * Decides: the order in which lanes are asked: larger priorities first, each for what is there, and for
 * no more than slots are free. A lane that has nothing is asked to tell of its next message; until it has
 * it is passed over. When all have nothing, nobody is asked at all.
 * All empty lanes wait, also when they are more than slots are free: else a lane would not be heard while
 * others wait. So several may tell at once, and a message that finds no slot goes back at once.
 * Consumers take turns.
 * Leaves to others: which lanes there are (task-queue.ts), what a delivery is.
 */
import type { TaskConsumer, TaskDelivery } from '../../ports/index.ts'
import type { TaskLane } from './task-lane.ts'

/** What a server sends in one go: more would wait here while others have nothing to do. */
const BATCH_MAX = 256

export interface Seat {
  deliver: (delivery: TaskDelivery) => void
  freeSlots: number
  isStopped: boolean
}

export class TaskReader {
  /** The largest priority first. */
  readonly #lanes: TaskLane[] = []
  /** Consumers with free slots; the first has waited longest. */
  readonly #idle = new Set<Seat>()
  #consumers = 0
  #freeSlots = 0
  #isRunning = false
  #isClosed = false
  /** Something has changed since lanes were last asked. */
  #isStirred = false
  #wake: (() => void) | undefined

  /** Whether anybody consumes. */
  get isUsed(): boolean {
    return this.#consumers > 0
  }

  get lanes(): readonly TaskLane[] {
    return this.#lanes
  }

  consume(slots: number, deliver: Seat['deliver']): TaskConsumer {
    const seat: Seat = { deliver, freeSlots: slots, isStopped: false }
    this.#consumers += 1
    if (slots > 0) this.#idle.add(seat)
    this.#freeSlots += slots
    this.stir()
    return { stop: () => this.#stop(seat) }
  }

  addLane(lane: TaskLane): void {
    const at = this.#lanes.findIndex(({ priority }) => priority < lane.priority)
    this.#lanes.splice(at < 0 ? this.#lanes.length : at, 0, lane)
    this.stir()
  }

  removeLane(lane: TaskLane): void {
    lane.close()
    this.#lanes.splice(this.#lanes.indexOf(lane), 1)
  }

  /** A slot for a message that has come; undefined when none is free. */
  takeSlot(): Seat | undefined {
    const [seat] = this.#idle
    if (seat === undefined) return undefined
    this.#idle.delete(seat)
    seat.freeSlots -= 1
    this.#freeSlots -= 1
    // Last in line now.
    if (seat.freeSlots > 0) this.#idle.add(seat)
    return seat
  }

  freeSlot(seat: Seat): void {
    seat.freeSlots += 1
    if (seat.isStopped) return
    this.#freeSlots += 1
    this.#idle.add(seat)
    this.stir()
  }

  /** Lanes are to be asked: there is one more, or one has something, or a slot is free. */
  stir(): void {
    this.#isStirred = true
    this.#wake?.()
    if (this.#isRunning || this.#isClosed || this.#freeSlots <= 0) return
    this.#isRunning = true
    void this.#run()
  }

  close(): void {
    this.#isClosed = true
    this.#idle.clear()
    for (const lane of this.#lanes) lane.close()
    this.#wake?.()
  }

  #stop(seat: Seat): void {
    if (seat.isStopped) return
    seat.isStopped = true
    this.#consumers -= 1
    this.#freeSlots -= seat.freeSlots
    this.#idle.delete(seat)
  }

  async #run(): Promise<void> {
    while (this.#freeSlots > 0 && !this.#isClosed) {
      this.#isStirred = false
      const received = await this.#takeAll()
      if (received > 0 || this.#isStirred) continue
      for (const lane of this.#lanes) lane.wait()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
    this.#isRunning = false
  }

  async #takeAll(): Promise<number> {
    let received = 0
    for (const lane of [...this.#lanes]) {
      if (this.#freeSlots <= 0) break
      if (!lane.isWaiting) received += await lane.take(this.#batch())
    }
    return received
  }

  /** Those that wait may each bring one. */
  #batch(): number {
    const waiting = this.#lanes.filter(({ isWaiting }) => isWaiting).length
    return Math.min(BATCH_MAX, Math.max(1, this.#freeSlots - waiting))
  }
}
