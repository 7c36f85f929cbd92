/**
 * The state `Empty` of all plans with a store: asking the manager for a sector. Decides: what is asked, and
 * that a store is empty before it takes one. An answer without a sector is no error.
 *
 * No number is taken twice for one place: an outcome is kept, and who asks again is known to the manager
 * by its key (`Scene.allocate`).
 */
import { ManagerRefusal, sealProofOfSize, sectorName } from '../venus/index.ts'
import { causeChain } from './failures.ts'
import type { StepRest, StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { hexOfBase64 } from './task-bytes.ts'
import { idleRest } from './waits.ts'

const NOTHING = 'the manager has no sector for this thread'

export async function allocate(scene: Scene): Promise<StepResult> {
  const sector = await asked(scene, () => scene.allocate('AllocateSector', [specOf(scene)]))
  if ('rest' in sector) return sector
  return sector.answer
    ? { event: 'Allocate', record: { sector: sector.answer } }
    : idleRest(scene.input, NOTHING)
}

export async function allocateSnapUp(scene: Scene): Promise<StepResult> {
  const spec = { Sector: specOf(scene), Deals: dealSpecOf(scene) }
  const asking = await asked(scene, () => scene.allocate('AllocateSanpUpSector', [spec]))
  if ('rest' in asking) return asking
  if (!asking.answer) return idleRest(scene.input, NOTHING)
  const { Sector: sector, Pieces: deals, Public, Private } = asking.answer
  return {
    event: 'AllocatedSnapUpSector',
    record: { sector, deals, finalized: { public: Public, private: Private } },
  }
}

export async function allocateRebuild(scene: Scene): Promise<StepResult> {
  const asking = await asked(scene, () => scene.allocate('AllocateRebuildSector', [specOf(scene)]))
  if ('rest' in asking) return asking
  if (!asking.answer) return idleRest(scene.input, NOTHING)
  const { Sector: sector, Ticket: ticket, Pieces: deals, IsSnapUp, UpgradePublic } = asking.answer
  const upgraded = IsSnapUp ? { finalized: UpgradePublic ? { public: UpgradePublic } : {} } : {}
  return { event: 'AllocatedRebuildSector', record: { sector, ticket, deals, ...upgraded } }
}

export async function allocateUnseal(scene: Scene): Promise<StepResult> {
  const asking = await asked(scene, () => scene.allocate('AllocateUnsealSector', [specOf(scene)]))
  if ('rest' in asking) return asking
  if (!asking.answer) return idleRest(scene.input, NOTHING)
  const {
    Sector: sector,
    Ticket: ticket,
    CommD,
    PieceCid,
    Offset,
    Size,
    PrivateInfo,
  } = asking.answer
  const unsealIn = { pieceCid: PieceCid, commD: hexOfBase64(CommD), offset: Offset, size: Size }
  return {
    event: 'AllocatedUnsealSector',
    record: { sector, ticket, unsealIn, finalized: { private: PrivateInfo } },
  }
}

export async function acquireDeals(scene: Scene): Promise<StepResult> {
  const { enableDeals, disableCc } = scene.settings
  const nothing = 'sectors without deals are disabled, and there are no deals'
  if (!enableDeals) {
    if (disableCc) return idleRest(scene.input, `${nothing}: the settings allow no sector at all`)
    return { event: 'AcquireDeals', record: { deals: [] } }
  }
  const deals = await scene.call('AcquireDeals', [scene.sectorId, dealSpecOf(scene)])
  if (deals.length === 0 && disableCc) return idleRest(scene.input, nothing)
  return { event: 'AcquireDeals', record: { deals } }
}

export function specOf({ settings }: Scene) {
  return {
    AllowedMiners: settings.allowedMiners,
    AllowedProofTypes: settings.allowedSizes.map((size) => sealProofOfSize(size).number),
  }
}

function dealSpecOf({ settings: { maxDeals, minDealSpace } }: Scene) {
  return { MaxDeals: maxDeals, MinUsedSpace: minDealSpace }
}

/** A manager that says no has no work: it is asked again, and no retry is used up. */
async function asked<T>(scene: Scene, ask: () => Promise<T>): Promise<{ answer: T } | StepRest> {
  await clearOfOthers(scene)
  try {
    return { answer: await ask() }
  } catch (thrown) {
    if (!(thrown instanceof ManagerRefusal)) throw thrown
    return idleRest(scene.input, `the manager gives no sector: ${causeChain(thrown)}`)
  }
}

/** What an operator left behind by going on without a sector is nobody's to overwrite or delete. */
async function clearOfOthers({ store, input, deps, taskId }: Scene): Promise<void> {
  const found = await store.occupants()
  if (found.length === 0) return
  const { sector } = input.record
  const entry = await store.putAside({
    sector: sector ? sectorName(sector.ID) : 'unknown',
    at: deps.clock.now(),
    reason: `found in the store when it was to take a new sector: ${found.slice(0, 8).join(', ')}`,
    acknowledged: false,
    taskId,
  })
  deps.log.warn(
    { store: store.location, entry: entry.name },
    'data of another sector were put aside',
  )
}
