/**
 * What is asked of disks. Decides: that a refusal of the machine is an error here, and that a disk nobody
 * knows is 911. Leaves to others: every rule (`disk-rules.ts`), who is heard (`heartbeats.ts`).
 */
import { type Client, type Clock, type EventObject, TroupeError } from '../../../../src/index.ts'
import { refusal, StorageRefusal } from '../codes/index.ts'
import { diskAddress } from './disk.ts'
import type { DiskAnswer, DiskInput, DiskRecord } from './disk-record.ts'

export interface DiskStatus {
  status: number
  readonly: boolean
}

export class Disks {
  readonly #client: Client
  readonly #clock: Clock

  constructor(client: Client, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  as(author: string): Disks {
    return new Disks(this.#client.as(author), this.#clock)
  }

  /**
   * Makes the disk known, or known again. One that nobody knows has to be empty: its chunks are another
   * store's, and may have the same names as chunks of this one.
   * @throws StorageRefusal 925
   */
  async register(input: Omit<DiskInput, 'at'>): Promise<DiskStatus> {
    const facts = { ...input, at: this.#clock.now() }
    if (input.chunks > 0) await this.#mustBeKnown(input)
    await this.#client.ensure(diskAddress(input.diskId), facts)
    const { diskId, ...event } = facts
    return this.ask(diskId, { type: 'REGISTER', ...event })
  }

  /** @throws StorageRefusal 911 */
  async record(diskId: number): Promise<DiskRecord> {
    const view = await known(diskId, this.#client.get(diskAddress(diskId)))
    return view.context as DiskRecord
  }

  set(diskId: number, status: number): Promise<DiskStatus> {
    return this.ask(diskId, { type: 'SET', status })
  }

  setReadonly(diskId: number, readonly: boolean): Promise<DiskStatus> {
    return this.ask(diskId, { type: 'READONLY', readonly })
  }

  /** Into the list of those that are emptied. */
  drop(diskId: number): Promise<DiskStatus> {
    return this.ask(diskId, { type: 'DROP' })
  }

  /** It is empty, and goes for good. @throws StorageRefusal 930 */
  dropped(diskId: number): Promise<DiskStatus> {
    return this.ask(diskId, { type: 'DROPPED' })
  }

  /** Of a unit; the same again is the same promise. @throws StorageRefusal 613, 615, 632 */
  reserve(diskId: number, vuid: bigint, bytesMax: number): Promise<DiskStatus> {
    return this.ask(diskId, { type: 'RESERVE', vuid, bytesMax, at: this.#clock.now() })
  }

  free(diskId: number, vuid: bigint): Promise<DiskStatus> {
    return this.ask(diskId, { type: 'FREE', vuid })
  }

  async #mustBeKnown({ diskId, path, chunks }: Omit<DiskInput, 'at'>): Promise<void> {
    try {
      await this.record(diskId)
    } catch (thrown) {
      if (!(thrown instanceof StorageRefusal) || thrown.status !== 911) throw thrown
      throw refusal(
        925,
        `disk ${diskId} is not known here, and ${path} holds ${chunks} chunks: they are of another store, or its record was removed; register an empty directory`,
      )
    }
  }

  /** @throws StorageRefusal as the disk refuses; 911 */
  async ask(diskId: number, event: EventObject): Promise<DiskStatus> {
    const answer = (await known(diskId, this.#client.ask(diskAddress(diskId), event))) as
      | DiskAnswer
      | undefined
    if (answer === undefined) {
      // An operator has paused it: the event is kept, and its answer is nobody's.
      throw refusal(911, `disk ${diskId} is paused or parked: resume it`)
    }
    if ('refused' in answer) throw refusal(answer.refused, answer.message)
    return answer
  }
}

async function known<T>(diskId: number, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.code !== 'unknown-actor') throw thrown
    throw refusal(911, `there is no disk ${diskId}: it has not been registered`)
  }
}
