/**
 * How upkeep is asked for and looked at over HTTP. Decides: the paths and forms of the reference's message
 * queue (`/repairmsg`, `/deletemsg`), at listeners of this app only; what people see of messages. Leaves to
 * others: who may call (the gateway's users), what becomes of a message.
 */
import { z } from 'zod'
import { type AppRequest, type AppRoute, TroupeError } from '../../../../src/index.ts'
import { bidSchema, numberedAnswer, storageAnswer, storageParsers } from '../codes/index.ts'
import { messagesAnswer, replayAnswer, takenAnswer, upkeepAnswer } from './answers.ts'
import { KINDS, UPKEEP_KINDS, type UpkeepKind } from './kinds.ts'
import { repairAsk, repairMessage } from './messages.ts'
import type { OpenMessage, Upkeep } from './upkeep.ts'

/** Blobs of one message; their actors are started side by side. */
const BLOBS_MAX = 1_000
const COUNT_DEFAULT = 100
const COUNT_MAX = 1_000

const { vid } = repairMessage.shape
/** Of another store's cluster: this one has one number for all. */
const clusterId = z.int().min(0).default(1)
const repairBody = z.object({
  ...{ cluster_id: clusterId, bid: bidSchema, vid },
  bad_idxes: repairAsk.shape.badIndexes,
  reason: z.string().default(''),
})
const deleteBody = z.object({
  cluster_id: clusterId,
  blobs: z
    .array(z.object({ bid: bidSchema, vid }))
    .min(1)
    .max(BLOBS_MAX),
})
const listQuery = z.object({
  state: z.string().optional(),
  count: z
    .string()
    .regex(/^[1-9]\d{0,3}$/)
    .optional(),
  /** From the page before. */
  cursor: z.string().optional(),
})
const replayBody = z.object({ states: z.array(z.string()).min(1).max(8).optional() })

export function upkeepRoutes(upkeep: Upkeep): AppRoute[] {
  return [...messageRoutes(upkeep), ...viewRoutes(upkeep)]
}

/** Taken when it is durable; answered with nothing, as the reference does. */
function messageRoutes(upkeep: Upkeep): AppRoute[] {
  const post = <TBody extends z.ZodType>(
    path: string,
    summary: string,
    body: TBody,
    take: (message: z.output<TBody>) => Promise<unknown>,
  ): AppRoute => ({
    ...{ method: 'POST', path, summary, listenerOnly: true, isFrequent: true },
    parsers: storageParsers,
    schemas: { body, answer: takenAnswer },
    handle: (request) =>
      take(request.body as z.output<TBody>)
        .then(() => ({ body: '' }))
        .catch(numberedAnswer),
  })
  return [
    post('/repairmsg', 'shards of a blob are bad: they are made up again', repairBody, (body) => {
      const { bad_idxes: badIndexes, reason } = body
      return upkeep.repair({ vid: body.vid, bid: body.bid, badIndexes, reason })
    }),
    post('/deletemsg', 'blobs are deleted: they cannot be read from now on', deleteBody, (body) =>
      Promise.all(
        body.blobs.map((blob) =>
          upkeep.remove({ ...blob, unitsMarked: [], isMarked: false, isLeftover: false }),
        ),
      ),
    ),
  ]
}

function viewRoutes(upkeep: Upkeep): AppRoute[] {
  const path = '/storage/upkeep/:kind'
  return [
    {
      ...{ method: 'GET', path, isFrequent: true },
      summary: 'messages of a kind (shard_repair, blob_delete) by state, and how their tries ended',
      schemas: { answer: upkeepAnswer },
      handle: async (request) => {
        const view = await upkeep.view(kindOf(request))
        const { kind, messages, failedCount, successPerMin, failedPerMin } = view
        return storageAnswer({
          ...{ kind, messages, failed_cnt: failedCount, success_per_min: successPerMin },
          ...{ failed_per_min: failedPerMin, success_cnt: view.successCount },
          ...{ total_err_cnt: view.errorCount, err_kinds: view.errorKinds },
        })
      },
    },
    {
      ...{ method: 'GET', path: `${path}/messages` },
      summary: 'messages in one state, such as punished or orphan: why, and until when they wait',
      schemas: { query: listQuery, answer: messagesAnswer },
      handle: async (request) => {
        const kind = kindOf(request)
        const { state, count, cursor } = listQuery.parse(Object.fromEntries(request.query))
        const limit = Math.min(COUNT_MAX, Number(count ?? COUNT_DEFAULT))
        const page = await upkeep.messages(kind, { state: state ?? 'punished', limit, cursor })
        return storageAnswer({ ...page, messages: page.messages.map(shown) })
      },
    },
    {
      ...{ method: 'POST', path: `${path}/replay` },
      summary: 'what failed until now is tried again, a few at a time',
      schemas: { body: replayBody, answer: replayAnswer },
      handle: async (request) => {
        const { states } = request.body as z.output<typeof replayBody>
        return storageAnswer({
          states: await upkeep.replay(kindOf(request), states, request.author),
        })
      },
    },
  ]
}

/** @throws TroupeError `malformed` */
function kindOf({ params }: AppRequest): UpkeepKind {
  const kind = UPKEEP_KINDS.find((one) => one === params['kind'])
  if (kind) return kind
  const known = UPKEEP_KINDS.map((one) => `${one} (${KINDS[one].machine})`).join(' and ')
  const said = String(params['kind']).slice(0, 32)
  throw new TroupeError('malformed', `"${said}" is no kind of upkeep: ${known} are`)
}

function shown({ lastError, waitsFor, retryAt, ...message }: OpenMessage) {
  return { ...message, last_error: lastError, waits_for: waitsFor, retry_at: retryAt }
}
