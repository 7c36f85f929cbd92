/**
 * Asking for moves. Decides: that a move is an actor by the time this resolves, and that a unit has one mover at
 * a time, whoever asks at once: its volume knows who. Leaves to others: what becomes of it.
 */
import type { z } from 'zod'
import type { Client, Clock, Random, TroupeError } from '../../../../src/index.ts'
import { refusal, vuidParts } from '../../plane/codes/index.ts'
import { MoveClaims } from '../../plane/volumes/index.ts'
import { isMoveOver } from './live-moves.ts'
import { moveAddress, newMoveId } from './move-id.ts'
import type { moveInput } from './move-record.ts'

export type MoveOrder = Omit<z.input<typeof moveInput>, 'taskId' | 'at' | 'sourceVuid'> & {
  sourceVuid: bigint
}

export class Moves {
  readonly #client: Client
  readonly #clock: Clock
  readonly #random: Random

  constructor(client: Client, clock: Clock, random: Random) {
    this.#client = client
    this.#clock = clock
    this.#random = random
  }

  as(author: string): Moves {
    return new Moves(this.#client.as(author), this.#clock, this.#random)
  }

  /**
   * @throws StorageRefusal 601: another task moves that unit; 904, 918: there is no such unit, or not any more;
   * TroupeError when it is not known whether it was added
   */
  async add(order: MoveOrder): Promise<{ taskId: string }> {
    const { type, sourceVuid, sourceDiskId } = order
    const { vid } = vuidParts(sourceVuid)
    const clock = this.#clock
    const taskId = newMoveId(type, sourceDiskId, vid, { clock, random: this.#random })
    await this.#announce(sourceVuid, taskId)
    // One that is announced and never begins is found to be gone: by its volume, or by the next who asks before.
    await this.#client.start(moveAddress(taskId), { ...order, taskId, at: clock.now() })
    return { taskId }
  }

  async #announce(vuid: bigint, taskId: string): Promise<void> {
    const claims = new MoveClaims(this.#client, this.#clock)
    const other = await claims.add(vuid, taskId)
    if (other === null) return
    if (!(await isMoveOver(this.#client, other, this.#clock.now()))) throw taken(other.why)
    const next = await claims.add(vuid, taskId, other.mover)
    if (next !== null) throw taken(next.why)
  }
}

function taken(why: string): TroupeError {
  return refusal(601, why)
}
