/**
 * The last states of a sector. Decides: that the manager has acknowledged its end before anything of it may
 * be deleted, and that data of an aborted one are moved away and not deleted at all.
 */
import { ManagerRefusal, SECTOR_STATE_NOT_FOUND, sectorName } from '../venus/index.ts'
import type { StepResult } from './ports.ts'
import type { Scene } from './scene.ts'

const ENDED: StepResult = { event: 'Ended', record: {} }

export async function finish(scene: Scene): Promise<StepResult> {
  const { record } = scene.input
  const isKnown = !record.sector || (await scene.once('finalized', () => reportFinalized(scene)))
  if (isKnown) await scene.store.wipe()
  else await putAside(scene, 'finished, but the manager does not know it', false)
  return ENDED
}

/**
 * Whether it was acknowledged. A manager that was away may have heard it before it went, and knows a
 * finished sector no more: that is no reason to call a person, nor to delete anything.
 */
async function reportFinalized(scene: Scene): Promise<boolean> {
  try {
    await scene.call('ReportFinalized', [scene.sectorId])
    return true
  } catch (thrown) {
    if (!isUnknown(thrown) || scene.input.rests === 0) throw thrown
    const sector = sectorName(scene.sectorId)
    scene.deps.log.warn(
      { sector },
      'the manager does not know a finished sector: its data are kept',
    )
    return false
  }
}

/** Told already: by `AchieveUnsealSector`. What lies here is a copy of a piece. */
export async function finishUnseal(scene: Scene): Promise<StepResult> {
  await scene.store.wipe()
  return ENDED
}

export async function abort(scene: Scene): Promise<StepResult> {
  const { input, store, taskId } = scene
  // A crash behind the move took what this task had noted with it.
  const moved = (await store.quarantine.list()).some((entry) => entry.taskId === taskId)
  if (moved) return ENDED
  const reason = input.abortReason ?? 'aborted'
  const acknowledged = await scene.once('aborted', () => reportAborted(scene, reason))
  await putAside(scene, reason, acknowledged)
  return ENDED
}

async function putAside(scene: Scene, reason: string, acknowledged: boolean): Promise<void> {
  const { input, store, taskId, deps } = scene
  if ((await store.occupants()).length === 0) return
  const { sector: of } = input.record
  const sector = of ? sectorName(of.ID) : 'unknown'
  await store.putAside({ sector, at: deps.clock.now(), reason, acknowledged, taskId })
}

function isUnknown(thrown: unknown): boolean {
  return thrown instanceof ManagerRefusal && thrown.code === SECTOR_STATE_NOT_FOUND
}

/**
 * Whether it was acknowledged. A manager that does not know the sector has nothing to give up; its word is
 * not taken for the deletion of data, though: these stay until a person says so.
 */
async function reportAborted(scene: Scene, reason: string): Promise<boolean> {
  const { input, deps } = scene
  if (!input.record.sector) return false
  const { sectorId } = scene
  try {
    await scene.call('ReportAborted', [sectorId, reason])
    return true
  } catch (thrown) {
    if (!isUnknown(thrown)) throw thrown
    const fields = { sector: sectorName(sectorId) }
    deps.log.warn(fields, 'the manager does not know a sector that is aborted: its data are kept')
    return false
  }
}
