/** Lists that the checkers of moves have to reject, and the good one that each is made of. */
import { actor, List, turn } from './event-list.ts'
import type { ActorFact, Happening } from './events.ts'

const TASK = 'balance-1-1-a'
const UNIT = (1n << 32n) | 1n
const CHUNK = `2/${UNIT}`

const record = {
  ...{ taskId: TASK, type: 'balance', state: 4, wait: null, sourceVuid: UNIT },
  ...{ destination: { vuid: UNIT, host: '', diskId: 2 } },
}
const volume = {
  ...{ vid: 1, standing: 'idle', mover: null, moves: {}, fittings: {}, retired: [] },
  ...{ units: [{ index: 0, epoch: 1, diskId: 2 }] },
}
const lane = {
  ...{ type: 'balance', inHand: {}, counts: { preparing: 0, workerDoing: 0, finishing: 0 } },
  ...{ totals: { finished: 1, finishedInAdvance: 0 } },
}
const CONTEXTS: Record<string, object> = {
  [`migrate-task/${TASK}`]: record,
  'volume/1': volume,
  'disk/2': { diskId: 2, units: { [UNIT.toString()]: {} } },
  'move-lane/balance': lane,
  'worker-queue/z': { offers: {}, ended: [] },
  'owner/o': { seen: [`${TASK} finished`] },
}

const lyingThere = { chunk: CHUNK, mode: 'normal' as const, bids: ['1', '2'] }

/** A store at rest, but for what is changed of one actor, or of what lies on its disks. */
export function restingStore(
  changes: { [address: string]: object } = {},
  chunks: readonly object[] = [lyingThere],
): List {
  const list = new List().claim()
  for (const [address, context] of Object.entries(CONTEXTS)) {
    const { state, status, ...changed } = (changes[address] ?? {}) as Partial<ActorFact>
    const isMove = address.startsWith('migrate-task/')
    const stands = isMove ? { status: 'done', state: 'finished' } : {}
    const given = { ...(state && { state }), ...(status && { status }) }
    const fact = { address, entries: [turn(1)], context: { ...context, ...changed } }
    list.batch({ actors: [actor({ ...stands, ...given, ...(fact as Partial<ActorFact>) })] })
  }
  return list.add({ kind: 'chunks-left', chunks, blobs: 2 } as Happening)
}

const made = (chunk: string): Happening => ({
  ...{ kind: 'chunk-call', party: 'n1', verb: 'create', chunk, how: 'done' },
})

const lease = { token: 7, worker: 'v1', until: 0, told: null }
const queue = (context: Record<string, unknown>) => ({ address: 'worker-queue/z', context })
const said = (call: string, since: number): Happening => ({
  ...{ kind: 'move-call', worker: 'v1', call, taskId: TASK, token: 7, since, answer: 'ok' },
})

/** A lease that began in one slot and was over in the next. */
export function leased(ended: readonly object[], call: string, since: number): List {
  return new List()
    .claim()
    .actor({ ...queue({ offers: { [TASK]: { lease } }, ended: [] }), entries: [turn(1)] })
    .actor({ ...queue({ offers: {}, ended }), turn: 2, entries: [turn(2)] })
    .add(said(call, since))
}

const MOVE = `migrate-task/${TASK}`
const fitting = { step: 'ready', epoch: 2, diskId: 3 }
const retired = { index: 0, epoch: 9, diskId: 3, isDue: true }

export const MOVE_CASES: Record<string, readonly [what: string, make: () => List][]> = {
  'moves-are-settled': [
    [
      'a move that goes on for ever',
      () => restingStore({ [MOVE]: { status: 'active', state: 'prepared' } }),
    ],
    [
      'one that is parked and does not say why',
      () => restingStore({ [MOVE]: { status: 'active', state: 'parked' } }),
    ],
    ['a volume that stays locked', () => restingStore({ 'volume/1': { standing: 'lock' } })],
    ['a volume that stays claimed', () => restingStore({ 'volume/1': { mover: TASK } })],
    [
      'a unit that a move has that is over',
      () => restingStore({ 'volume/1': { moves: { 0: { mover: TASK } } } }),
    ],
    [
      'a unit that has moved, of a move that was cancelled',
      () =>
        restingStore({
          ...{ [MOVE]: { state: 'cancelled' }, 'owner/o': { seen: [`${TASK} cancelled`] } },
          'move-lane/balance': { totals: { finished: 0, finishedInAdvance: 0 } },
        }),
    ],
    ['a chunk for nobody', () => restingStore({ 'volume/1': { fittings: { 0: fitting } } })],
    ['an old chunk that stays', () => restingStore({ 'volume/1': { retired: [retired] } })],
    ['a unit that lies nowhere', () => restingStore({}, [])],
    ['a unit that lacks a blob', () => restingStore({}, [{ ...lyingThere, bids: ['1'] }])],
    ['a unit that stays read-only', () => restingStore({}, [{ ...lyingThere, mode: 'readonly' }])],
    [
      'a chunk that is nobody’s',
      () => restingStore({}, [lyingThere, { ...lyingThere, chunk: '3/9' }]),
    ],
    ['a ledger with a line too many', () => restingStore({ 'disk/2': { diskId: 3 } })],
    ['a ledger that lacks a line', () => restingStore({ 'disk/2': { units: {} } })],
    [
      'a lane that has counted wrongly',
      () =>
        restingStore({ 'move-lane/balance': { totals: { finished: 2, finishedInAdvance: 0 } } }),
    ],
    [
      'a lane that keeps a place',
      () => restingStore({ 'move-lane/balance': { inHand: { [TASK]: {} } } }),
    ],
    [
      'a queue that offers what is over',
      () => restingStore({ 'worker-queue/z': { offers: { [TASK]: { lease: null } } } }),
    ],
    ['an owner that was not told', () => restingStore({ 'owner/o': { seen: [] } })],
    [
      'an owner that was told twice',
      () => restingStore({ 'owner/o': { seen: [`${TASK} finished`, `${TASK} finished`] } }),
    ],
  ],
  'chunks-are-given-once': [
    ['an epoch on two disks', () => new List().add(made(CHUNK)).add(made(`3/${UNIT}`))],
  ],
  'late-workers-are-refused': [
    ['a copy that counts behind its lease', () => leased([], 'COMPLETE', 3)],
    ['a lease that lives again', () => leased([], 'RENEW', 3)],
    [
      'another word than the one that ended it',
      () => leased([{ token: 7, by: 'CANCEL' }], 'COMPLETE', 3),
    ],
  ],
}
