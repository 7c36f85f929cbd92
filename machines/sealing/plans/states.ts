/**
 * The names of sector states and plans, as they are stored, shown and typed by operators. Decides: the
 * spelling ("Persistance" is part of the interface) and the numbers of the old records, which only an
 * import may read. Pure.
 */

/** In the order of the numbers that workers of today store; we store names. */
export const SECTOR_STATES = [
  'Empty',
  'Allocated',
  'DealsAcquired',
  'PieceAdded',
  'TreeDBuilt',
  'TicketAssigned',
  'PC1Done',
  'PC2Done',
  'SyntheticPoRepNeeded',
  'PCSubmitted',
  'PCLanded',
  'Persisted',
  'PersistanceSubmitted',
  'SeedAssigned',
  'C1Done',
  'C2Done',
  'ProofSubmitted',
  'Finished',
  'Aborted',
  'SnapEncoded',
  'SnapProved',
  'SealedChecked',
  'SnapPieceAdded',
  'SnapTreeDBuilt',
  'SnapDone',
  'Unsealed',
  'Generated',
] as const
export type SectorState = (typeof SECTOR_STATES)[number]

export const PLANS = ['sealer', 'snapup', 'rebuild', 'unseal', 'wdpost'] as const
export type PlanName = (typeof PLANS)[number]
