/**
 * Claims of movers on volumes, for their tasks. Decides: what a refusal means: the unit has another mover, or
 * the volume is another mover's for now. Leaves to others: the rules (`move-claims.ts`).
 */
import type { Client, Clock } from '../../../../src/index.ts'
import { refusal, type Vuid, vuidParts } from '../codes/index.ts'
import { askVolume } from './volume-calls.ts'
import type { Claim, PlannedMove } from './volume-record.ts'

/** Who stands in the way, and how the volume says it. */
export interface ClaimedBefore extends PlannedMove {
  why: string
  /** It moves the same unit; else another one of that volume. */
  isSameUnit: boolean
}

const SAME_UNIT = 601

export class MoveClaims {
  readonly #client: Client
  readonly #clock: Pick<Clock, 'now'>

  constructor(client: Client, clock: Pick<Clock, 'now'>) {
    this.#client = client
    this.#clock = clock
  }

  /**
   * The unit is to be moved by that mover. @param instead one that has gone without a word
   * @returns null, or who moves it already @throws StorageRefusal 904, 918, 924
   */
  add(vuid: Vuid, mover: string, instead?: string): Promise<ClaimedBefore | null> {
    const replaced = instead === undefined ? {} : { instead }
    return this.#ask(vuid, { type: 'ADD_MOVE', vuid, mover, ...replaced })
  }

  /**
   * The volume is that mover's, to move this unit of it.
   * @throws StorageRefusal 904; 918, 929: it is announced no more, or that turn is over
   */
  claim(vuid: Vuid, claim: Claim): Promise<ClaimedBefore | null> {
    return this.#ask(vuid, { type: 'CLAIM_MOVE', vuid, ...claim })
  }

  /** It moves nothing there any more: what was made for it goes, and its lock. @throws StorageRefusal 904 */
  async end(vid: number, mover: string): Promise<void> {
    await askVolume(this.#client, vid, { type: 'END_MOVE', mover })
  }

  async #ask(
    vuid: Vuid,
    event: { type: string; [field: string]: unknown },
  ): Promise<ClaimedBefore | null> {
    const { vid } = vuidParts(vuid)
    const answer = await askVolume(this.#client, vid, { ...event, at: this.#clock.now() })
    if (!('refused' in answer)) return null
    const { refused, message: why, by } = answer
    if (by !== undefined) return { ...by, why, isSameUnit: refused === SAME_UNIT }
    throw refusal(refused, why)
  }
}
