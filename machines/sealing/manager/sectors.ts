/**
 * The records of sectors, for whoever answers calls. Decides: how a record is found, read and changed.
 * Leaves to others: what a change means (`sector-rules.ts`).
 */
import { type ActorRow, type Client, parseAddress, TroupeError } from '../../../src/index.ts'
import { parseSectorName, type SectorId, sectorName } from '../venus/index.ts'
import { isCode, unknownSector } from './failures.ts'
import { sectorAddress } from './sector.ts'
import type { SectorAnswer, SectorEvent } from './sector-events.ts'
import type { SectorInput, SectorRecord } from './sector-record.ts'

export interface SectorFilter {
  state?: string
  where?: Record<string, string | number | boolean>
}

/** Most find one among the first. */
const PAGE_COUNT = 20

export class Sectors {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  as(author: string): Sectors {
    return new Sectors(this.#client.as(author))
  }

  /** False if there is a record already. */
  async begin(input: SectorInput): Promise<boolean> {
    try {
      await this.#client.start(sectorAddress(input.sector.ID), input)
      return true
    } catch (thrown) {
      if (isCode(thrown, 'already-exists')) return false
      throw thrown
    }
  }

  /** @throws CallFailure 11001 */
  async record(id: SectorId): Promise<SectorRecord> {
    try {
      return (await this.#client.get(sectorAddress(id))).context as SectorRecord
    } catch (thrown) {
      throw isCode(thrown, 'unknown-actor') ? unknownSector(id) : thrown
    }
  }

  /** @throws CallFailure 11001; TroupeError `busy` while an operator has the record paused */
  async send(id: SectorId, event: SectorEvent): Promise<SectorAnswer> {
    try {
      const { reply } = await this.#client.send(sectorAddress(id), event)
      if (reply !== undefined) return reply as SectorAnswer
    } catch (thrown) {
      throw isCode(thrown, 'unknown-actor') ? unknownSector(id) : thrown
    }
    const why = `the record of ${sectorName(id)} is paused: troupe actors resume ${sectorAddress(id)}`
    throw new TroupeError('busy', why)
  }

  /** The same, for what has no answer but that it is done. @throws TroupeError as it was refused */
  async apply(id: SectorId, event: SectorEvent): Promise<void> {
    const answer = await this.send(id, event)
    if ('refused' in answer) throw new TroupeError(answer.refused, answer.message)
  }

  /** Whether it was taken; what is refused belongs to somebody else. */
  async take(id: SectorId, event: SectorEvent): Promise<boolean> {
    return !('refused' in (await this.send(id, event)))
  }

  async find(filter: SectorFilter): Promise<SectorRow | undefined> {
    const { rows } = await this.#client.list({ filter: actorFilter(filter), limit: 1 })
    return rows.map(rowOf)[0]
  }

  /** All of them, for whoever looks for one that it may have. */
  async *each(filter: SectorFilter): AsyncGenerator<SectorRow, void, void> {
    const query = { filter: actorFilter(filter), limit: PAGE_COUNT }
    for await (const row of this.#client.rows(query)) yield rowOf(row)
  }
}

function actorFilter({ state, where }: SectorFilter) {
  return {
    machine: 'sealing-sector',
    ...(state === undefined ? {} : { state }),
    ...(where === undefined ? {} : { where }),
  }
}

export interface SectorRow {
  id: SectorId
  proofType: number
  row: ActorRow
}

function rowOf(row: ActorRow): SectorRow {
  const id = parseSectorName(parseAddress(row.address).id)
  return { id, proofType: Number(row.index['proofType']), row }
}
