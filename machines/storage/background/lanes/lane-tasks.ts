/**
 * What a lane looks up: whose turn is next, and whether those in hand are still there. Decides: that as many
 * are read as there are places, however many wait: a million may. Leaves to others: what follows
 * (`lane-rules.ts`).
 */
import { z } from 'zod'
import {
  type ActorView,
  type Client,
  type IndexValue,
  nodeOf,
  parseAddress,
  TroupeError,
  task,
} from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { MOVER_MACHINE, volumeAddress } from '../../plane/volumes/index.ts'
import { type MoveType, moveAddress, turnField, volumeOfMove } from '../moves/index.ts'
import { type Checked, moveType, type Picked, taskId } from './lane-record.ts'
import { settingsOf } from './ports.ts'
import { openWorkerQueue } from './queue-record.ts'

/** A look is read-only; the lane itself tries again when it was given up. */
const RETRY = { attemptsMax: 3, initialMs: 200, backoffMaxMs: 1_000 }
/** Of a look at those in hand. */
const AT_ONCE = 16

const input = z.object({
  type: moveType,
  /** Those in hand: they may wait still, since their turn was told a moment ago. */
  inHand: z.array(taskId),
  free: z.int().min(0),
})
type LookInput = z.output<typeof input>

export const pickTask = task<LookInput, Picked>({
  name: 'move-lane-pick',
  queue: 'storage.move-lanes',
  runsOn: 'node',
  input,
  retry: RETRY,
  run: async (attempt) => {
    const { type, inHand, free } = attempt.input
    const { client, clock } = nodeOf(attempt)
    const { workQueueSize } = settingsOf(attempt)
    // One more than there are places says whether that is all.
    const waiting = await firstWaiting(client, { type, inHand, count: free + 1 })
    return {
      ...{ at: clock.now(), workQueueSize },
      picked: waiting.slice(0, free),
      isAll: waiting.length <= free,
    }
  },
})

export const checkTask = task<LookInput, Checked>({
  name: 'move-lane-check',
  queue: 'storage.move-lanes.checks',
  runsOn: 'node',
  input,
  retry: RETRY,
  run: async (attempt) => {
    const { type, inHand } = attempt.input
    const { client, clock } = nodeOf(attempt)
    const { workQueueSize } = settingsOf(attempt)
    const found: Checked = {
      ...{ at: clock.now(), workQueueSize, gone: [], still: [] },
      isAnyWaiting: false,
    }
    const idcs = new Set<IndexValue | undefined>()
    for (let from = 0; from < inHand.length; from += AT_ONCE) {
      await Promise.all(
        inHand.slice(from, from + AT_ONCE).map(async (id) => {
          const view = await viewOf(client, moveAddress(id))
          if (view === undefined || view.status !== 'active') found.gone.push(id)
          else if (standsStill(view)) found.still.push(id)
          else idcs.add(view.index['idc'])
        }),
      )
    }
    await Promise.all(found.gone.map((id) => leaveVolume(client, id)))
    // Those in hand offer themselves again to a queue that somebody deleted by hand.
    await openQueues(client, idcs)
    const waiting = await firstWaiting(client, { type, inHand, count: 1 })
    found.isAnyWaiting = waiting.length > 0
    return found
  },
})

interface Wanted {
  type: MoveType
  inHand: readonly string[]
  count: number
}

/** Every shard gives a page: those in hand, which hardly ever wait still, are no reason for a larger one. */
async function firstWaiting(client: Client, { type, inHand, count }: Wanted): Promise<string[]> {
  const rows = client.rows({
    // One that an operator has paused would not take its turn.
    filter: { machine: MOVER_MACHINE, condition: 'active' },
    sort: { by: turnField(type) },
    limit: count,
  })
  const waiting: string[] = []
  for await (const { address } of rows) {
    const { id } = parseAddress(address)
    if (!inHand.includes(id)) waiting.push(id)
    if (waiting.length === count) break
  }
  return waiting
}

async function openQueues(
  client: Client,
  idcs: ReadonlySet<IndexValue | undefined>,
): Promise<void> {
  const named = [...idcs].filter((idc) => typeof idc === 'string')
  await Promise.all(named.map((idc) => openWorkerQueue(client, idc)))
}

function standsStill({ paused, parked }: ActorView): boolean {
  return paused !== undefined || parked !== undefined
}

/** One that was ended by hand said nothing to its volume, which may be locked for it. */
async function leaveVolume(client: Client, mover: string): Promise<void> {
  const vid = volumeOfMove(mover)
  if (vid === undefined) return
  try {
    await client.send(volumeAddress(vid), { type: 'END_MOVE', mover })
  } catch (thrown) {
    // The next look says it again; whoever moves a unit there next does, too.
    if (!(thrown instanceof TroupeError)) throw thrown
  }
}
