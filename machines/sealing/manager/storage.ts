/**
 * Where sealed sectors lie. Decides: which stores may be asked for room, and what of a sector has to be
 * there before its worker lets go of it. Leaves to others: the counting (`store-room.ts`).
 */
import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type Client, type Clock, type Log, TroupeError } from '../../../src/index.ts'
import { sectorPaths } from '../stores/index.ts'
import {
  type AllocatedSector,
  type ResultOf,
  type SectorId,
  sealProofOf,
  sectorName,
} from '../venus/index.ts'
import type { ManagerConfig, StoreConfig } from './config.ts'
import { CallFailure, FAILED } from './failures.ts'
import type { Persisted } from './sector-record.ts'
import { STORES_ADDRESS } from './sector-rules.ts'
import type { Sectors } from './sectors.ts'
import { type RoomAnswer, reservedIn, type StoreRoom } from './store-room.ts'

export interface StorageDeps {
  client: Client
  clock: Clock
  log: Log
  config: ManagerConfig
  sectors: Sectors
}

export interface StoreSummary {
  name: string
  path: string
  /** Null where neither the configuration nor the disk says. */
  capacityBytes: number | null
  reservedBytes: number
  storedBytes: number
  reachable: boolean
}

export class Storage {
  readonly #deps: StorageDeps

  constructor(deps: StorageDeps) {
    this.#deps = deps
  }

  basic(name: string): ResultOf<'StoreBasicInfo'> {
    const store = this.#deps.config.stores.find((one) => one.name === name)
    return store ? { Name: store.name, Path: store.path, Meta: store.meta ?? null } : null
  }

  /** Null while none of them has room. */
  async reserve(
    id: SectorId,
    sizeBytes: number,
    names: readonly string[],
  ): Promise<ResultOf<'StoreReserveSpace'>> {
    const { client, config, sectors } = this.#deps
    const { standing } = await sectors.record(id)
    if (standing === 'aborted') throw new CallFailure(FAILED, `${sectorName(id)} is aborted`)
    const stores = config.stores.filter(({ name }) => names.includes(name))
    if (stores.length === 0) {
      const known = config.stores.map(({ name }) => name).join(', ') || 'none'
      const why = `this manager knows none of the stores ${names.join(', ')} (it knows: ${known})`
      throw new CallFailure(FAILED, `${why}: add them to apps.sealing.manager.stores`)
    }
    const candidates = await Promise.all(stores.map(candidateOf))
    const event = { type: 'RESERVE', sector: sectorName(id), sizeBytes, candidates }
    const answer = (await client.ask(STORES_ADDRESS, event)) as RoomAnswer | undefined
    if (answer === undefined) {
      const why = `${STORES_ADDRESS} is paused: troupe actors resume ${STORES_ADDRESS}`
      throw new TroupeError('busy', why)
    }
    return answer.store === null ? null : this.basic(answer.store)
  }

  /** False, with the reason in the log, when its files are not there as they should be. */
  async persisted(id: SectorId, store: string, isUpgrade: boolean): Promise<boolean> {
    const { sectors, log } = this.#deps
    const { sector } = await sectors.record(id)
    const found = await this.inspect(sector, store, isUpgrade)
    if ('missing' in found) {
      log.warn(
        { sector: sectorName(id), store, why: found.missing },
        'files of a sector are missing',
      )
      return false
    }
    await sectors.apply(id, { type: 'PERSISTED', persisted: found })
    return true
  }

  /** @throws CallFailure for a store that is not known */
  async inspect(
    { ID: id, ProofType }: AllocatedSector,
    name: string,
    isUpgrade: boolean,
  ): Promise<Persisted | { missing: string }> {
    const store = this.#deps.config.stores.find((one) => one.name === name)
    if (!store) throw new CallFailure(FAILED, `this manager knows no store "${name.slice(0, 64)}"`)
    const { sizeBytes } = sealProofOf(ProofType)
    const at = this.#deps.clock.now()
    if (!(await isDirectory(store.path))) {
      return { at, store: name, sizeBytes, checked: false }
    }
    const paths = sectorPaths(store.path, id)
    const file = isUpgrade ? paths.update : paths.sealed
    const cache = isUpgrade ? paths.updateCache : paths.cache
    const fileBytes = await bytesOf(file)
    if (fileBytes !== sizeBytes) {
      const what = fileBytes === null ? 'is not there' : `has ${fileBytes} bytes`
      return { missing: `${file} ${what}; it should have ${sizeBytes}` }
    }
    const cacheBytes = await bytesBelow(cache)
    if (cacheBytes === null) return { missing: `${cache} is not there, or empty` }
    return { at, store: name, sizeBytes: fileBytes + cacheBytes, checked: true }
  }

  async list(): Promise<StoreSummary[]> {
    const { client, config } = this.#deps
    const room = (await client.get(STORES_ADDRESS)).context as StoreRoom
    return Promise.all(
      config.stores.map(async (store) => ({
        name: store.name,
        path: store.path,
        capacityBytes: (await candidateOf(store)).capacityBytes,
        reservedBytes: reservedIn(room, store.name),
        storedBytes: room.stored[store.name] ?? 0,
        reachable: await isDirectory(store.path),
      })),
    )
  }
}

async function candidateOf({ name, path, capacityBytes }: StoreConfig) {
  if (capacityBytes !== undefined) return { store: name, capacityBytes, countsStored: true }
  const free = await statfs(path).catch(() => null)
  const freeBytes = free && free.bavail * free.bsize
  return { store: name, capacityBytes: freeBytes, countsStored: false }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false
}

async function bytesOf(path: string): Promise<number | null> {
  const found = await stat(path).catch(() => null)
  return found?.isFile() ? found.size : null
}

/** Of the files of a cache; null where there are none. */
async function bytesBelow(directory: string): Promise<number | null> {
  const names = await readdir(directory).catch(() => [])
  const sizes = await Promise.all(names.map((name) => bytesOf(join(directory, name))))
  const files = sizes.filter((size) => size !== null)
  return files.length === 0 ? null : files.reduce((sum, size) => sum + size, 0)
}
