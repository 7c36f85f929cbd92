/**
 * All disks as a node knows them, from the lists. Decides: how old what it knows may be, and what of a disk
 * is told to the others. Bounded by the number of disks: a few hundred bytes for each.
 */
import { type ActorRow, type Client, type Clock, parseAddress } from '../../../../src/index.ts'
import { type DiskStanding, STANDINGS, statusOf } from './disk-record.ts'

export interface DiskView {
  diskId: number
  uuid: string
  address: string
  host: string
  rack: string
  idc: string
  path: string
  standing: DiskStanding
  /** 1 normal, 2 broken, 3 repairing, 4 repaired, 5 dropped. */
  status: number
  isHeard: boolean
  /** Normal, and heard of lately: it can be read and written. */
  isUp: boolean
  via: string
  sizeBytes: number
  freeBytes: number
  usedBytes: number
  /** That are promised places on it. */
  units: number
  chunks: number
  chunksMax: number
  why: string | null
  createdAt: number
  updatedAt: number
}

const PAGE_COUNT = 1_000

export class DiskTable {
  readonly #client: Client
  readonly #clock: Clock
  readonly #ageMaxMs: number
  #disks: ReadonlyMap<number, DiskView> = new Map()
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<ReadonlyMap<number, DiskView>> | undefined

  constructor(client: Client, clock: Clock, ageMaxMs: number) {
    this.#client = client
    this.#clock = clock
    this.#ageMaxMs = ageMaxMs
  }

  /** By their ids. @param fresh as they stand now; else as they stood a moment ago */
  async all({ fresh = false } = {}): Promise<ReadonlyMap<number, DiskView>> {
    const age = this.#clock.monotonic() - this.#readAt
    if (!fresh && age <= this.#ageMaxMs) return this.#disks
    // Who asks for what stands now must not have what was begun to be read before.
    if (fresh && this.#reading) await this.#reading.catch(() => undefined)
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /** The next who asks reads them anew. */
  forget(): void {
    this.#readAt = Number.NEGATIVE_INFINITY
  }

  async #read(): Promise<ReadonlyMap<number, DiskView>> {
    const begunAt = this.#clock.monotonic()
    const disks = new Map<number, DiskView>()
    let cursor: string | undefined
    do {
      const page = await this.#client.scan({
        filter: { machine: 'disk' },
        limit: PAGE_COUNT,
        ...(cursor === undefined ? {} : { cursor }),
      })
      for (const row of page.rows) {
        const view = viewOf(row)
        disks.set(view.diskId, view)
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    this.#disks = disks
    this.#readAt = begunAt
    return disks
  }
}

function viewOf({ address, index, createdAt, updatedAt }: ActorRow): DiskView {
  const text = (field: string) => String(index[field] ?? '')
  const number = (field: string) => Number(index[field] ?? 0)
  const standing = STANDINGS.find((one) => one === index['standing']) ?? 'broken'
  const status = statusOf(standing)
  const isHeard = index['isHeard'] === true
  const why = index['why']
  return {
    diskId: Number(parseAddress(address).id),
    ...{
      uuid: text('uuid'),
      address: text('address'),
      host: text('host'),
      rack: text('rack'),
      idc: text('idc'),
    },
    ...{ path: text('path'), standing, status, isHeard, isUp: status === 1 && isHeard },
    ...{ via: text('via'), sizeBytes: number('sizeBytes'), freeBytes: number('freeBytes') },
    ...{ usedBytes: number('usedBytes'), units: number('units'), chunks: number('chunks') },
    ...{ chunksMax: number('chunksMax'), why: typeof why === 'string' ? why : null },
    ...{ createdAt, updatedAt },
  }
}
