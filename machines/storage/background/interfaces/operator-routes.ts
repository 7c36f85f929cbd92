/**
 * Tasks that move units, for operators: lists, one by one, and what can be done with each. Decides: the paths,
 * what is shown, and which word of an operator becomes which event. Leaves to others: what follows from it
 * (`moves`).
 */
import { z } from 'zod'
import {
  type ActorRow,
  type ActorView,
  type AppRequest,
  type AppRoute,
  type Client,
  type EventObject,
  TroupeError,
} from '../../../../src/index.ts'
import { codeModeOf, storageAnswer, vuidParts } from '../../plane/codes/index.ts'
import { refusing } from '../../plane/disks/index.ts'
import { MOVER_MACHINE } from '../../plane/volumes/index.ts'
import { MOVE_TYPES, type MoveRecord, moveAddress, wireStat } from '../moves/index.ts'
import { taskInfoAnswer, tasksAnswer } from './answers.ts'
import { conditionOf, positionOf } from './conditions.ts'

const PATH = '/storage/tasks'
const COUNT_DEFAULT = 100
const COUNT_MAX = 1_000
const PRIORITY_MAX = 100

const whole = z.string().regex(/^\d{1,10}$/)
const listQuery = z.object({
  type: z.enum(MOVE_TYPES).optional(),
  /** A state, or a part of one: `prepared`, `prepared.leased`. */
  state: z.string().max(60).optional(),
  disk: whole.optional(),
  vid: whole.optional(),
  count: z
    .string()
    .regex(/^[1-9]\d{0,3}$/)
    .optional(),
  /** From the page before. */
  cursor: z.string().optional(),
})
const priorityBody = z.object({ priority: z.int().min(-PRIORITY_MAX).max(PRIORITY_MAX) })
const pauseBody = z.object({ reason: z.string().max(500).optional() })

type Act = (client: Client, task: Task, body: unknown) => Promise<void>

interface Task {
  id: string
  address: string
  view: ActorView
}

export function operatorRoutes({ client }: { client: Client }): AppRoute[] {
  return [...readingRoutes(client), ...changingRoutes(client)]
}

function readingRoutes(client: Client): AppRoute[] {
  return [
    {
      method: 'GET',
      path: PATH,
      summary: 'tasks that move units: how far they are, what they wait for',
      schemas: { query: listQuery, answer: tasksAnswer },
      handle: async ({ query }) => {
        const { type, state, disk, vid, count, cursor } = listQuery.parse(Object.fromEntries(query))
        const where = {
          ...(type === undefined ? {} : { type }),
          ...(disk === undefined ? {} : { diskId: Number(disk) }),
          ...(vid === undefined ? {} : { vid: Number(vid) }),
        }
        const page = await client.list({
          filter: {
            machine: MOVER_MACHINE,
            ...(state === undefined ? {} : { state }),
            ...(Object.keys(where).length === 0 ? {} : { where }),
          },
          limit: Math.min(COUNT_MAX, Number(count ?? COUNT_DEFAULT)),
          ...(cursor === undefined ? {} : { cursor }),
        })
        const views = await Promise.all(page.rows.map((row) => viewOf(client, row)))
        const tasks = views.filter((view) => view !== undefined).map(rowOf)
        return storageAnswer({ tasks, ...(page.cursor ? { cursor: page.cursor } : {}) })
      },
    },
    {
      method: 'GET',
      path: `${PATH}/:id`,
      summary: 'a task that moves a unit; also for days after its end',
      schemas: { answer: taskInfoAnswer },
      handle: async (request) => storageAnswer(infoOf((await taskOf(client, request)).view)),
    },
  ]
}

function changingRoutes(client: Client): AppRoute[] {
  const post = (verb: string, summary: string, act: Act, body?: z.ZodType): AppRoute => ({
    method: 'POST',
    path: `${PATH}/:id/${verb}`,
    summary,
    schemas: { ...(body === undefined ? {} : { body }), answer: taskInfoAnswer },
    handle: refusing(async (request) => {
      const task = await taskOf(client, request)
      requireLive(task)
      await act(client.as(request.author), task, request.body)
      return storageAnswer(infoOf((await taskOf(client, request)).view))
    }),
  })
  return [
    post(
      'pause',
      'let a task stand where it is; what a worker does for it goes on',
      async (of, { address }, body) => {
        const { reason } = body as z.output<typeof pauseBody>
        await of.pause(address, reason === undefined ? {} : { reason })
      },
      pauseBody,
    ),
    post('resume', 'let a task that is paused or parked go on', resume),
    post('retry', 'try now what a task waits to try again', retry),
    post('cancel', 'give a task up; what it reserved is given back', (of, task) =>
      tell(of, task, { type: 'CANCEL' }),
    ),
    post(
      'priority',
      'let a task come before others of its type: higher ones first, 0 is the usual',
      (of, task, body) => {
        const { priority } = body as z.output<typeof priorityBody>
        return tell(of, task, { type: 'PRIORITY', priority })
      },
      priorityBody,
    ),
  ]
}

async function resume(client: Client, task: Task): Promise<void> {
  const { address, view } = task
  if (view.paused || view.parked) await client.resume(address)
  else if (view.value === 'parked') await tell(client, task, { type: 'RETRY' })
  else throw new TroupeError('conflict', `${task.id} is neither paused nor parked`)
}

async function retry(client: Client, task: Task): Promise<void> {
  const { address, view } = task
  if (view.parked) await client.resume(address, { retry: true })
  else await tell(client, task, { type: 'RETRY' })
}

/** @throws TroupeError `conflict` where the task has no use for it */
async function tell(
  client: Client,
  { id, address, view }: Task,
  event: EventObject,
): Promise<void> {
  if (view.paused || view.parked) {
    const how = view.parked ? 'parked' : 'paused'
    throw new TroupeError('conflict', `${id} is ${how} and hears nothing: resume it`)
  }
  const answer = (await client.ask(address, event)) as
    | { ok: true }
    | { refused: string; message: string }
    | undefined
  if (answer === undefined) {
    const where = positionOf(view.value)
    throw new TroupeError('conflict', `${id} has no use for ${event.type} where it is: ${where}`)
  }
  if ('refused' in answer) throw new TroupeError('conflict', answer.message)
}

/** @throws TroupeError `conflict` */
function requireLive({ id, view }: Task): void {
  if (view.status === 'active') return
  throw new TroupeError('conflict', `${id} has ended: ${positionOf(view.value)}`)
}

/** @throws TroupeError `not-found` */
async function taskOf(client: Client, { params }: AppRequest): Promise<Task> {
  const id = params['id'] ?? ''
  const none = new TroupeError('not-found', `there is no task "${id.slice(0, 80)}"`)
  try {
    const address = moveAddress(id)
    return { id, address, view: await client.get(address) }
  } catch (thrown) {
    throw thrown instanceof TroupeError && NONE.has(thrown.code) ? none : thrown
  }
}

const NONE: ReadonlySet<string> = new Set(['unknown-actor', 'invalid-address'])

/** Undefined where it has gone since it was listed. */
async function viewOf(client: Client, { address }: ActorRow): Promise<ActorView | undefined> {
  try {
    return await client.get(address)
  } catch (thrown) {
    if (thrown instanceof TroupeError && NONE.has(thrown.code)) return undefined
    throw thrown
  }
}

/** `source_vuid_text` for readers that keep no more digits of a number than a double has. */
function rowOf(view: ActorView) {
  const move = view.context as MoveRecord
  const { sourceVuid, destination, lease, stat, wait } = move
  return {
    ...{ task_id: move.taskId, task_type: move.type, state: move.state },
    ...{ at: positionOf(view.value), condition: conditionOf(view) },
    ...{ vid: vuidParts(sourceVuid).vid, source_vuid: sourceVuid },
    ...{ source_vuid_text: String(sourceVuid), source_disk_id: move.sourceDiskId },
    destination_disk_id: destination.diskId === 0 ? null : destination.diskId,
    ...{ priority: move.priority, worker: lease?.worker ?? null, progress: stat.progress },
    why: view.parked?.error.message ?? view.paused?.reason ?? wait?.why ?? null,
    until: view.parked || view.paused ? null : (wait?.until ?? null),
    ...{ created_at: move.ctime, updated_at: move.mtime },
  }
}

function infoOf(view: ActorView) {
  const move = view.context as MoveRecord
  const { codeMode, destination, lease } = move
  return {
    ...rowOf(view),
    ...{ mode: codeMode === 0 ? null : codeModeOf(codeMode).name, source_idc: move.sourceIdc },
    reason: move.reason,
    destination_vuid_text: destination.diskId === 0 ? null : String(destination.vuid),
    forbidden_direct_download: move.forbiddenDirectDownload,
    ...{ worker_redo_cnt: move.workerRedoCnt, finish_advance_reason: move.finishAdvanceReason },
    ...{ stat: wireStat(move), last_error: move.lastError, lease_until: lease?.until ?? null },
  }
}
