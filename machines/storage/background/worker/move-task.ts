/**
 * A task as it comes to a worker (reference sheet, section 3.3 and 3.5). Decides: what of it is read, and which
 * task is none: a worker that guessed would fill the wrong chunk. Leaves to others: asking for it
 * (`worker-calls.ts`), doing it (`move-run.ts`).
 */
import { z } from 'zod'
import {
  type CodeMode,
  codeModeOf,
  isSamePlace,
  refusal,
  unitCount,
  vuidParts,
  vuidSchema,
} from '../../plane/codes/index.ts'

/** One chunk, in the words of the reference. Of a disk that nobody knows the host is empty. */
const location = z.object({ vuid: vuidSchema, host: z.string(), disk_id: z.int() })
export type Location = z.output<typeof location>

/** Ours: it goes back as it came. Tasks of servers without tokens have none. */
const token = z.union([z.string(), z.int()])
export type LeaseToken = z.output<typeof token>

export const moveTask = z.object({
  task_id: z.string().min(1).max(200),
  task_type: z.string().min(1).max(60),
  source_idc: z.string(),
  source_disk_id: z.int(),
  source_vuid: vuidSchema,
  sources: z.array(location),
  code_mode: z.int(),
  destination: location,
  forbidden_direct_download: z.boolean(),
  token: token.nullish(),
  lease_ms: z.int().min(100).nullish(),
})
export type MoveTask = z.output<typeof moveTask>

export interface Unit {
  index: number
  address: string
  diskId: number
  vuid: bigint
}

/** What a task asks for, checked. */
export interface MovePlan {
  mode: CodeMode
  /** All units of the volume, by their index; the one that moves among them. */
  units: readonly Unit[]
  source: Unit
  destination: Unit
  /** The source may be read. */
  isDirect: boolean
  /** Its source is broken, and its volume is not locked. */
  isRepair: boolean
}

/** @throws StorageRefusal 672, 674 */
export function movePlanOf(task: MoveTask): MovePlan {
  const mode = codeModeOf(task.code_mode)
  const units = task.sources.map(unitOf)
  const isWhole =
    units.length === unitCount(mode) &&
    units.every(({ vuid }, at) => {
      const { vid, index } = vuidParts(vuid)
      return index === at && vid === vuidParts(task.source_vuid).vid
    })
  if (!isWhole) throw illegal(task, `its sources are not the ${unitCount(mode)} units of a volume`)
  const source = units.find(({ vuid }) => vuid === task.source_vuid)
  if (source === undefined) throw illegal(task, `${task.source_vuid} is none of its sources`)
  const destination = unitOf(task.destination)
  if (!isSamePlace(source.vuid, destination.vuid) || destination.vuid === source.vuid) {
    throw illegal(task, `${destination.vuid} does not take the place of ${source.vuid}`)
  }
  const isRepair = task.task_type === 'disk_repair'
  const isDirect = !isRepair && !task.forbidden_direct_download
  return { mode, units, source, destination, isDirect, isRepair }
}

function unitOf({ vuid, host, disk_id }: Location): Unit {
  return { index: vuidParts(vuid).index, address: host, diskId: disk_id, vuid }
}

function illegal({ task_id }: MoveTask, why: string) {
  return refusal(672, `task ${task_id} cannot be done: ${why}`)
}
