/**
 * The machine `storage-plane`: the numbers that the store gives out, volumes and blobs. Decides: that none is
 * given twice, whatever is killed. A number that was given and not used is lost, and there are enough.
 */
import { setup } from 'xstate'
import { z } from 'zod'
import {
  type Client,
  defineMachine,
  type EventObject,
  formatAddress,
  reply,
} from '../../../../src/index.ts'
import { refusal, VID_MAX } from '../codes/index.ts'

const MAIN = 'main'
const RANGE_MAX = 1_000_000

const events = {
  TAKE_VID: z.object({}),
  TAKE_BIDS: z.object({ count: z.int().min(1).max(RANGE_MAX) }),
}
type NumbersEvent =
  | { type: 'TAKE_VID' }
  | ({ type: 'TAKE_BIDS' } & z.output<typeof events.TAKE_BIDS>)

interface Numbers {
  nextVid: number
  /** Below 2^53: at a million a second that lasts for three centuries. */
  nextBid: number
}

/** The first that is the caller's; 0: there are no more. */
interface Given {
  first: number
}

const chart = setup({
  types: { context: {} as Numbers, events: {} as NumbersEvent },
  actions: { answer: reply((_, { first }: Given): Given => ({ first })) },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  const [field, count, max] =
    event.type === 'TAKE_VID'
      ? (['nextVid', 1, VID_MAX] as const)
      : (['nextBid', event.count, Number.MAX_SAFE_INTEGER] as const)
  const first = context[field]
  const isLeft = first + count - 1 <= max
  if (isLeft) enqueue.assign({ [field]: first + count })
  enqueue({ type: 'answer', params: { first: isLeft ? first : 0 } })
})

export const numbers = defineMachine({
  machine: chart.createMachine({
    id: 'storage-plane',
    context: { nextVid: 1, nextBid: 1 },
    initial: 'open',
    states: { open: { on: { TAKE_VID: { actions: act }, TAKE_BIDS: { actions: act } } } },
  }),
  context: z.object({ nextVid: z.int().min(1), nextBid: z.int().min(1) }),
  events,
  index: ({ nextVid, nextBid }) => ({ nextVid, nextBid }),
  retention: { historyCount: 20 },
})

export const numbersSingleton = { machine: 'storage-plane', id: MAIN } as const

/** @throws StorageRefusal 917 */
export async function takeVid(client: Client): Promise<number> {
  const first = await take(client, { type: 'TAKE_VID' })
  if (first > 0) return first
  throw refusal(917, `all ${VID_MAX} numbers of volumes are given out`)
}

/** The highest that was given out; 0: none was. */
export async function lastVid(client: Client): Promise<number> {
  const { context } = await client.get(formatAddress('storage-plane', MAIN))
  return (context as Numbers).nextVid - 1
}

/** Of so many in a row, the first. @throws StorageRefusal 802 */
export async function takeBids(client: Client, count: number): Promise<bigint> {
  const first = await take(client, { type: 'TAKE_BIDS', count })
  if (first > 0) return BigInt(first)
  throw refusal(802, 'all numbers of blobs are given out')
}

async function take(client: Client, event: EventObject): Promise<number> {
  const answer = (await client.ask(formatAddress('storage-plane', MAIN), event)) as
    | Given
    | undefined
  if (answer !== undefined) return answer.first
  throw refusal(802, `storage-plane/${MAIN} is paused or parked: resume it`)
}
