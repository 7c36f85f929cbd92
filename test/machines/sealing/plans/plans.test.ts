/** The tables of the plans, against what the plans of today's workers are known to be. */
import { describe, expect, it } from 'vitest'
import {
  applyEvent,
  clearedBy,
  furtherOf,
  gateOf,
  hasStep,
  missingInputs,
  offeredStates,
  PLAN_EVENTS,
  PLANS,
  type PlanName,
  planOf,
  RECORD_KEYS,
  resubmitFlags,
  SECTOR_STATES,
  stageOf,
  stateOf,
  statesOf,
  suggestState,
} from '../../../../machines/sealing/plans/index.ts'

/** `state –event→ next`, as the reference of the plans writes them. */
const MOVES: Record<PlanName, string> = {
  sealer: `Empty Allocate Allocated AcquireDeals DealsAcquired AddPiece PieceAdded BuildTreeD TreeDBuilt
    AssignTicket TicketAssigned PC1 PC1Done PC2 PC2Done SubmitPC PCSubmitted CheckPC PCLanded Persist
    Persisted SubmitPersistance PersistanceSubmitted AssignSeed SeedAssigned C1 C1Done C2 C2Done
    SubmitProof ProofSubmitted Finish Finished`,
  snapup: `Empty AllocatedSnapUpSector Allocated AddPiece PieceAdded BuildTreeD TreeDBuilt SnapEncode
    SnapEncoded SnapProve SnapProved Persist Persisted Finish Finished`,
  rebuild: `Empty AllocatedRebuildSector Allocated AddPiece PieceAdded BuildTreeD TreeDBuilt PC1 PC1Done
    PC2 PC2Done CheckSealed SealedChecked AddPiece SnapPieceAdded BuildTreeD SnapTreeDBuilt SnapEncode
    SnapEncoded SnapProve SnapDone Persist Persisted SubmitPersistance Finished`,
  unseal: 'Empty AllocatedUnsealSector Allocated UnsealDone Unsealed UploadPieceDone Finished',
  wdpost: 'Empty Allocated Allocated Generate Generated Finish Finished',
}
const SIDEWAYS: [PlanName, string, string, string][] = [
  ['sealer', 'PC1Done', 'PC2NeedSyntheticProof', 'SyntheticPoRepNeeded'],
  ['sealer', 'SyntheticPoRepNeeded', 'SyntheticPoRep', 'PC2Done'],
  ['sealer', 'PCSubmitted', 'ReSubmitPC', 'PC2Done'],
  ['sealer', 'ProofSubmitted', 'ReSubmitProof', 'C2Done'],
  ['snapup', 'Persisted', 'RePersist', 'SnapProved'],
  ['rebuild', 'PC1Done', 'PC2NeedSyntheticProof', 'SyntheticPoRepNeeded'],
  ['rebuild', 'SyntheticPoRepNeeded', 'SyntheticPoRep', 'PC2Done'],
  ['rebuild', 'SealedChecked', 'SkipSnap', 'SnapDone'],
]

const movesOf = (plan: PlanName): string[] => {
  const words = MOVES[plan].split(/\s+/)
  const line = words.flatMap((word, at) =>
    at % 2 === 1 ? [`${words[at - 1]} ${word} ${words[at + 1]}`] : [],
  )
  const others = SIDEWAYS.filter(([name]) => name === plan).map(([, ...move]) => move.join(' '))
  return [...line, ...others].sort()
}

describe.each(PLANS)('%s', (plan) => {
  it('has exactly the moves of the reference', () => {
    const moves = statesOf(plan).flatMap((state) =>
      Object.entries(stateOf(plan, state)?.on ?? {}).map(([event, next]) => {
        expect(applyEvent(plan, state, event)).toBe(next)
        return `${state} ${event} ${next}`
      }),
    )
    expect(moves.sort()).toEqual(movesOf(plan))
  })

  it('names only states, events and fields that there are; ends have no way out', () => {
    for (const [state, { on, inputs }] of Object.entries(planOf(plan).states)) {
      expect(SECTOR_STATES).toContain(state)
      for (const event of Object.keys(on)) expect(PLAN_EVENTS).toContain(event)
      for (const next of Object.values(on)) expect(hasStep(plan, next)).toBe(true)
      for (const input of inputs) expect(RECORD_KEYS).toContain(input)
    }
    expect(applyEvent(plan, 'Finished', 'Finish')).toBeUndefined()
    expect(applyEvent(plan, 'Empty', 'toString')).toBeUndefined()
    expect(hasStep(plan, 'constructor')).toBe(false)
  })

  it('what is worth offering has a step, and is not where nothing has begun', () => {
    expect(offeredStates(plan).every((state) => hasStep(plan, state))).toBe(true)
    expect(offeredStates(plan)).not.toContain('Empty')
    expect(offeredStates(plan)).not.toContain('Finished')
  })
})

it('offers what is known to be useful', () => {
  expect(offeredStates('sealer').join(' ')).toBe(
    'TreeDBuilt PC1Done PC2Done PCLanded PersistanceSubmitted SeedAssigned C1Done C2Done Aborted',
  )
  expect(offeredStates('snapup').join(' ')).toBe(
    'Allocated TreeDBuilt SnapEncoded SnapProved Aborted',
  )
  expect(offeredStates('rebuild').join(' ')).toBe(
    'Allocated TreeDBuilt PC1Done SealedChecked SnapDone Aborted',
  )
  expect(offeredStates('unseal').join(' ')).toBe('Allocated Unsealed')
  expect(offeredStates('wdpost')).toEqual(['Aborted'])
})

it('shows the stage of a state by its plan', () => {
  const stages = [
    ['sealer', 'Allocated', 'AcquireDeals', null],
    ['snapup', 'Allocated', 'AddPieces', 'add_pieces'],
    ['rebuild', 'Allocated', 'AddPieces', 'add_pieces'],
    ['unseal', 'Allocated', 'Unseal', 'unseal'],
    ['sealer', 'TreeDBuilt', 'AssignTicket', null],
    ['rebuild', 'TreeDBuilt', 'PC1', 'pc1'],
    ['snapup', 'TreeDBuilt', 'SnapEncode', 'snap_encode'],
    ['sealer', 'PC2Done', 'SubmitPreCommit', null],
    ['rebuild', 'PC2Done', 'C1', 'c1'],
    ['sealer', 'Persisted', 'SubmitPersisted', null],
    ['snapup', 'Persisted', 'SubmitSnapupProof', null],
    ['sealer', 'Finished', null, null],
  ] as const
  for (const [plan, state, stage, gate] of stages) {
    expect([stageOf(plan, state), gateOf(plan, state)]).toEqual([stage, gate])
  }
})

it('a step back before a submission has the next one replace it', () => {
  expect(resubmitFlags('sealer', 'PC1Done', 'TreeDBuilt')).toEqual([])
  // What was tried there may have been stored by the manager.
  expect(resubmitFlags('sealer', 'PC2Done', 'TreeDBuilt')).toEqual(['pc2Resubmit'])
  expect(resubmitFlags('sealer', 'PersistanceSubmitted', 'PC2Done')).toEqual(['pc2Resubmit'])
  expect(resubmitFlags('sealer', 'ProofSubmitted', 'TreeDBuilt')).toEqual([
    'pc2Resubmit',
    'c2Resubmit',
  ])
  expect(resubmitFlags('sealer', 'ProofSubmitted', 'C2Done')).toEqual(['c2Resubmit'])
  expect(resubmitFlags('sealer', 'ProofSubmitted', 'Aborted')).toEqual([])
  expect(resubmitFlags('sealer', 'ProofSubmitted', 'Finished')).toEqual([])
  expect(resubmitFlags('rebuild', 'Persisted', 'TreeDBuilt')).toEqual([])
})

it('knows what is missing, what an event takes away, and which of two states is further', () => {
  expect(missingInputs('sealer', 'SeedAssigned', { sector: {}, ticket: {} })).toEqual([
    'pieces',
    'pc2out',
    'seed',
  ])
  expect(missingInputs('sealer', 'Empty', {})).toEqual([])
  expect(clearedBy('sealer', 'AssignTicket')).toEqual(['ticket'])
  expect(clearedBy('sealer', 'PC1')).toEqual([])
  expect(furtherOf('sealer', 'PC2Done', 'PC1Done')).toBe('PC2Done')
  expect(furtherOf('sealer', 'PC2Done', 'PCSubmitted')).toBe('PCSubmitted')
  expect(furtherOf('sealer', 'PC2Done', 'Aborted')).toBe('PC2Done')
})

it('guesses which state was meant', () => {
  expect(suggestState('sealer', 'aborted')).toBe('Aborted')
  expect(suggestState('sealer', 'PersistenceSubmitted')).toBe('PersistanceSubmitted')
  expect(suggestState('sealer', 'C1 Done')).toBe('C1Done')
  expect(suggestState('unseal', 'aborted')).toBeUndefined()
  expect(suggestState('sealer', 'x'.repeat(10_000))).toBeUndefined()
})
