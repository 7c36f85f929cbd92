/** Worlds in which a deliberate bug can show: faults without which it would never matter. */
import { embed, NO_CHECKPOINTS, type Parameters } from './parameters.ts'

/** Drawn charts, whose steps are held against XState's own. */
export const drawn = (parameters: Parameters) => {
  parameters.charts = 3
}

/** Every seed has the journal lose what it had not synced. */
export const losses = (parameters: Parameters) => {
  parameters.troubles.journalLossMs = 8_000
  parameters.troubles.crashMs ||= 8_000
  // A disk that is gone as well is more than anybody is promised; and little stays unsynced where slots
  // are removed soon.
  parameters.troubles.wipeMs = 0
  parameters.checkpoints.slots = NO_CHECKPOINTS
}

/** Views change their mind often: owners are deposed while they live. */
export const duels = (parameters: Parameters) => {
  parameters.fickleMs = 1_500
  parameters.nodes = Math.max(3, parameters.nodes)
}

export const rolling = (parameters: Parameters) => {
  parameters.troubles.upgradeMs = 8_000
  parameters.troubles.crashMs = 6_000
}

/** Slots are removed as soon as that may be, under crashes. */
export const removals = (parameters: Parameters) => {
  parameters.logic = 'cluster'
  parameters.nodes = Math.max(3, parameters.nodes)
  parameters.shards = Math.min(2, parameters.shards)
  Object.assign(parameters.checkpoints, { slots: 5, lookMs: 300, retentionMs: 4_000, slotsMin: 2 })
  parameters.troubles.crashMs = 4_000
}

/** A checkpoint that is young goes with the end of the journal. */
export const lostCheckpoints = (parameters: Parameters) => {
  losses(parameters)
  removals(parameters)
}

/** Disks are lost, and nothing else: whoever comes back begins with a checkpoint. */
export const wipes = (parameters: Parameters) => {
  removals(parameters)
  Object.assign(parameters.troubles, { wipeMs: 5_000, journalLossMs: 0 })
}

/** Lists and counts are asked for all the time. */
export const asking = (parameters: Parameters) => {
  Object.assign(parameters, { askers: 2, thinkMs: 100, actors: 16, shards: 1 })
}

/** Parents send to their children and callbacks, more than a batch may step. */
export const families = (parameters: Parameters) => {
  Object.assign(parameters, { sideCallers: 2, thinkMs: 60, actors: 8 })
  parameters.limits.stepsPerBatchMax = 4
  parameters.troubles.crashMs = 4_000
}

/** One directory, two processes that take it from each other, and power failures. */
export const embedded = (parameters: Parameters) => {
  parameters.nodes = 2
  embed(parameters)
  Object.assign(parameters.troubles, { crashMs: 3_000, freezeMs: 4_000 })
}
