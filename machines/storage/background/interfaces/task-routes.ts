/**
 * Tasks that move units, for programs of the old scheduler: asking for one, and what became of it. Decides:
 * the paths and what they answer; that only a unit that stands there now can be moved by hand. Leaves to
 * others: that there is one task of a unit at a time, and all that follows (`moves`).
 */
import { z } from 'zod'
import { type AppRoute, type Client, TroupeError } from '../../../../src/index.ts'
import { refusal, storageAnswer, VID_MAX, vuidParts, vuidSchema } from '../../plane/codes/index.ts'
import type { DiskTable } from '../../plane/disks/index.ts'
import type { VolumeViews } from '../../plane/volumes/index.ts'
import { type MoveRecord, type Moves, moveAddress, wireStat, wireTask } from '../moves/index.ts'
import { detailAnswer } from './answers.ts'
import { bodyOf, DONE, done, moveTypeOf, numbered, SeedRefusal } from './seed-forms.ts'

export interface TaskRoutesDeps {
  client: Client
  moves: Moves
  views: VolumeViews
  table: DiskTable
  /** Times as Go prints them. */
  goTimes: boolean
}

const whole = z
  .string()
  .regex(/^\d{1,10}$/)
  .transform(Number)
const addition = z.object({
  vuid: vuidSchema,
  direct_download: z.boolean().default(false),
  /** Ours: higher ones come first. */
  priority: z.int().default(0),
})
const existQuery = z.object({
  task_type: z.string().optional(),
  disk_id: z.string().optional(),
  vuid: z.string().optional(),
})
const existence = z.object({ task_type: z.string(), disk_id: whole, vuid: vuidSchema })
const refresh = z.object({ vid: z.int().min(1).max(VID_MAX) })

export function taskRoutes(deps: TaskRoutesDeps): AppRoute[] {
  return [...addRoutes(deps), ...lookRoutes(deps)]
}

function addRoutes({ moves, views, table }: TaskRoutesDeps): AppRoute[] {
  return [
    numbered({
      method: 'POST',
      path: '/manual/migrate/task/add',
      summary: 'move a unit to another disk; answers the id of the task that does it',
      schemas: { answer: z.object({ task_id: z.string() }) },
      handle: async ({ body, author }) => {
        const { vuid, direct_download, priority } = bodyOf(addition, body)
        const { diskId: sourceDiskId, idc: sourceIdc } = await placeOf(vuid, { views, table })
        const { taskId } = await moves.as(author).add({
          ...{ type: 'manual_migrate', sourceVuid: vuid, sourceDiskId, sourceIdc, priority },
          forbiddenDirectDownload: !direct_download,
        })
        return storageAnswer({ task_id: taskId })
      },
    }),
    numbered({
      method: 'POST',
      path: '/update/vol',
      summary: 'this node reads the mapping of a volume anew',
      isFrequent: true,
      schemas: { answer: done },
      handle: async ({ body }) => {
        await views.record(bodyOf(refresh, body).vid, { fresh: true })
        return DONE
      },
    }),
  ]
}

function lookRoutes({ client, views, goTimes }: TaskRoutesDeps): AppRoute[] {
  return [
    numbered({
      method: 'GET',
      path: '/task/detail/:type/:id',
      summary: 'a task that moves a unit, and how far it is; also for days after its end',
      isFrequent: true,
      schemas: { answer: detailAnswer },
      handle: async ({ params }) => {
        const type = moveTypeOf(params['type'] ?? '')
        const record = await moveOf(client, params['id'] ?? '')
        if (record?.type !== type) throw noTask(params['id'] ?? '')
        return storageAnswer({ task: wireTask(record, { goTimes }), stat: wireStat(record) })
      },
    }),
    numbered({
      method: 'GET',
      path: '/task/exist/check',
      summary: 'whether a unit is being moved off a disk by a task of that type',
      isFrequent: true,
      schemas: { query: existQuery, answer: z.object({ exist: z.boolean() }) },
      handle: async ({ query }) => {
        const asked = bodyOf(existence, Object.fromEntries(query))
        const type = moveTypeOf(asked.task_type)
        const { vid, index } = vuidParts(asked.vuid)
        const { moves } = await views.record(vid, { fresh: true })
        const exist = moves[index]?.mover.startsWith(`${type}-${asked.disk_id}-`) ?? false
        return storageAnswer({ exist })
      },
    }),
  ]
}

/** Undefined where there is no such task. */
async function moveOf(client: Client, id: string): Promise<MoveRecord | undefined> {
  try {
    return (await client.get(moveAddress(id))).context as MoveRecord
  } catch (thrown) {
    if (thrown instanceof TroupeError && NONE.has(thrown.code)) return undefined
    throw thrown
  }
}

const NONE: ReadonlySet<string> = new Set(['unknown-actor', 'invalid-address'])

function noTask(id: string): SeedRefusal {
  return new SeedRefusal(404, 'NotFound', `there is no task "${id.slice(0, 80)}"`)
}

/** @throws StorageRefusal 904, 911, 918 */
async function placeOf(
  vuid: bigint,
  { views, table }: Pick<TaskRoutesDeps, 'views' | 'table'>,
): Promise<{ diskId: number; idc: string }> {
  const { vid, index, epoch } = vuidParts(vuid)
  const { units } = await views.record(vid, { fresh: true })
  const unit = units[index]
  if (unit === undefined) throw refusal(904, `volume ${vid} has no unit ${index}`)
  if (unit.epoch !== epoch) {
    const why = `unit ${index} of volume ${vid} has epoch ${unit.epoch} now, not ${epoch}`
    throw refusal(918, `${why}: it was moved`)
  }
  const disk = (await table.all({ fresh: true })).get(unit.diskId)
  if (disk !== undefined) return { diskId: unit.diskId, idc: disk.idc }
  throw refusal(911, `there is no disk ${unit.diskId}`)
}
