/**
 * What is done with sectors that are finalized: upgrades to hold deals, rebuilding, unsealing. Decides:
 * who gets which, and that a task which asks again gets the same. Leaves to others: whether a sector may
 * (`sector-rules.ts`).
 */
import { randomUUID } from 'node:crypto'
import type { Client, Clock } from '../../../src/index.ts'
import type { ParamsOf, ResultOf, SectorId } from '../venus/index.ts'
import { type Allocation, isOneOf, minersOf } from './allocation.ts'
import type { ManagerConfig } from './config.ts'
import type { DealEntry } from './deals.ts'
import { isCode } from './failures.ts'
import type { SectorRecord } from './sector-record.ts'
import { dealsAddress } from './sector-rules.ts'
import type { SectorRow, Sectors } from './sectors.ts'

type Spec = ParamsOf<'AllocateRebuildSector'>[0]

export interface LaterWorkDeps {
  client: Client
  clock: Clock
  config: ManagerConfig
  sectors: Sectors
  allocation: Allocation
}

export class LaterWork {
  readonly #deps: LaterWorkDeps

  constructor(deps: LaterWorkDeps) {
    this.#deps = deps
  }

  /** A sector without deals, and deals for it. */
  async snapUp(
    { Sector: spec, Deals }: ParamsOf<'AllocateSanpUpSector'>[0],
    given: string | null,
  ): Promise<ResultOf<'AllocateSanpUpSector'>> {
    const { sectors, config, clock } = this.#deps
    const task = given ?? freshTask()
    const known = given && (await sectors.find({ state: 'upgrading', where: { task } }))
    if (known) return this.#upgradeOf(known.id, task, Deals)
    for (const { id: miner, enableSnapUp } of minersOf(config, spec)) {
      if (!enableSnapUp || !(await this.#hasDeals(miner))) continue
      const event = { type: 'UPGRADE', at: clock.now(), task } as const
      const id = await this.#first(spec, { miner, upgradable: true }, event)
      // Deals that are too small for it may still be followed by those of another miner.
      const upgrade = id && (await this.#upgradeOf(id, task, Deals))
      if (upgrade) return upgrade
    }
    return null
  }

  async rebuild(spec: Spec, given: string | null): Promise<ResultOf<'AllocateRebuildSector'>> {
    const task = given ?? freshTask()
    const id = await this.#taken(spec, given, task, 'Rebuild', { type: 'REBUILD_TAKE', task })
    if (!id) return null
    const { sector, preCommit, deals, upgraded } = await this.#deps.sectors.record(id)
    if (!preCommit) return null
    return {
      Sector: sector,
      Ticket: preCommit.ticket,
      Pieces: upgraded ? upgraded.deals : deals,
      IsSnapUp: upgraded !== null,
      UpgradePublic: upgraded && { CommR: upgraded.commR, CommD: upgraded.commD },
    }
  }

  async unseal(spec: Spec, given: string | null): Promise<ResultOf<'AllocateUnsealSector'>> {
    const task = given ?? freshTask()
    const id = await this.#taken(spec, given, task, 'Unseal', { type: 'UNSEAL_TAKE', task })
    if (!id) return null
    const { sector, preCommit, persisted, unseals } = await this.#deps.sectors.record(id)
    const wish = unseals.find((one) => one.task === task)
    if (!wish || !preCommit || !persisted) return null
    return {
      Sector: sector,
      PieceCid: wish.pieceCid,
      Offset: wish.offset,
      Size: wish.sizeBytes,
      Ticket: preCommit.ticket,
      CommD: preCommit.commD,
      PrivateInfo: { AccessInstance: persisted.store },
    }
  }

  /** None where the piece is not wanted any more. */
  async unsealDest(id: SectorId, pieceCid: string): Promise<string[]> {
    const { unseals } = await this.#deps.sectors.record(id)
    return unseals.find((wish) => wish.pieceCid === pieceCid)?.dest ?? []
  }

  async unsealed(id: SectorId, pieceCid: string, error: string): Promise<void> {
    const { sectors, clock } = this.#deps
    await sectors.apply(id, { type: 'UNSEALED', at: clock.now(), pieceCid, error })
  }

  /** The sector that the task has, or one that is wanted. */
  async #taken(
    spec: Spec,
    given: string | null,
    task: string,
    what: 'Rebuild' | 'Unseal',
    event: Parameters<Sectors['take']>[1],
  ): Promise<SectorId | null> {
    const { sectors } = this.#deps
    const field = what === 'Rebuild' ? 'rebuildTask' : 'unsealTask'
    const known = given && (await sectors.find({ where: { [field]: task } }))
    return known ? known.id : this.#first(spec, { [`wants${what}`]: true }, event)
  }

  /** Of those that the worker may have; somebody else may take one at the same moment. */
  async #first(
    spec: Spec,
    where: Record<string, number | boolean>,
    event: Parameters<Sectors['take']>[1],
  ): Promise<SectorId | null> {
    const { sectors } = this.#deps
    for await (const row of sectors.each({ where })) {
      if (isWanted(spec, row) && (await sectors.take(row.id, event))) return row.id
    }
    return null
  }

  async #upgradeOf(
    id: SectorId,
    task: string,
    spec: ParamsOf<'AcquireDeals'>[1],
  ): Promise<ResultOf<'AllocateSanpUpSector'>> {
    const { sectors, allocation } = this.#deps
    const record = await sectors.record(id)
    const pieces = await allocation.acquire(record.sector, spec)
    const found = publicOf(record)
    if (pieces.length === 0 || !found) {
      await sectors.apply(id, { type: 'UPGRADE_OFF', task })
      return null
    }
    return { Sector: record.sector, Pieces: pieces, ...found }
  }

  async #hasDeals(miner: number): Promise<boolean> {
    try {
      const { context } = await this.#deps.client.get(dealsAddress(miner))
      return (context as { deals: DealEntry[] }).deals.some(({ sector }) => sector === null)
    } catch (thrown) {
      if (isCode(thrown, 'unknown-actor')) return false
      throw thrown
    }
  }
}

/** What a worker needs of a sector that is sealed. */
function publicOf({ preCommit, persisted }: SectorRecord) {
  if (!preCommit || !persisted) return null
  return {
    Public: { CommR: preCommit.commR, CommD: preCommit.commD },
    Private: { AccessInstance: persisted.store },
  }
}

function isWanted(spec: Spec, { id, proofType }: SectorRow): boolean {
  return isOneOf(spec.AllowedMiners, id.Miner) && isOneOf(spec.AllowedProofTypes, proofType)
}

/** Of a caller that cannot repeat itself. */
function freshTask(): string {
  return randomUUID()
}
