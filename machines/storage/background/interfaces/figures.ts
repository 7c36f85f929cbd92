/**
 * The figures of all background tasks, from the actors that count them. Decides: that they are read side by
 * side, a fixed number of them, however many tasks there are. Leaves to others: what is counted (lanes, inspect,
 * upkeep, disk jobs), how it is shown (`stats.ts`).
 */
import { type ActorView, type Client, type Clock, TroupeError } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { DISK_WATCH } from '../../plane/disks/index.ts'
import {
  countersAddress,
  countersView,
  type UpkeepCounters,
  type UpkeepKind,
} from '../../plane/upkeep/index.ts'
import type { Switches } from '../../switches/index.ts'
import {
  disksInHand,
  type JobKind,
  type JobRecord,
  jobAddress,
  progressOf,
  type WatchRecord,
} from '../disk-jobs/index.ts'
import { INSPECT_ADDRESS, type InspectRecord, inspectView } from '../inspect/index.ts'
import { type LaneRecord, type LaneView, laneAddress, laneView } from '../lanes/index.ts'
import type { MoveType } from '../moves/index.ts'
import type { DiskFigures, Figures, MessageFigures, OwnFigures } from './stats.ts'

export interface FigureSources {
  client: Client
  clock: Clock
  switches: Switches
}

type LaneViews = Readonly<Record<MoveType, LaneView>>

/** @throws TroupeError `unavailable` while the actors that count are being started */
export async function figuresOf(sources: FigureSources): Promise<Figures> {
  const [own, moves, inspect, drops, repairs] = await Promise.all([
    ownFiguresOf(sources),
    lanesOf(sources),
    inspectOf(sources),
    disksOf(sources, 'disk_drop'),
    disksOf(sources, 'disk_repair'),
  ])
  const { finished, timedOut } = inspect.perMinute
  return {
    ...{ ...own, moves, inspect: { finished, timedOut } },
    disks: { disk_drop: drops, disk_repair: repairs },
  }
}

export async function ownFiguresOf(sources: FigureSources): Promise<OwnFigures> {
  const [isOn, repairs, deletes] = await Promise.all([
    sources.switches.all(),
    messagesOf(sources, 'shard_repair'),
    messagesOf(sources, 'blob_delete'),
  ])
  return { isOn, messages: { shard_repair: repairs, blob_delete: deletes } }
}

export async function lanesOf(sources: FigureSources): Promise<LaneViews> {
  const lane = async (type: MoveType) => {
    const record = await contextOf<LaneRecord>(sources.client, laneAddress(type))
    return laneView(record, sources.clock.now())
  }
  const [manual_migrate, disk_repair, disk_drop, balance] = await Promise.all([
    lane('manual_migrate'),
    lane('disk_repair'),
    lane('disk_drop'),
    lane('balance'),
  ])
  return { manual_migrate, disk_repair, disk_drop, balance }
}

export async function inspectOf({ client, clock }: FigureSources) {
  const record = await contextOf<InspectRecord>(client, INSPECT_ADDRESS)
  return inspectView(record, clock.now())
}

async function messagesOf(
  { client, clock }: FigureSources,
  kind: UpkeepKind,
): Promise<MessageFigures> {
  const counters = await contextOf<UpkeepCounters>(client, countersAddress(kind))
  const { successPerMin, failedPerMin, errorCount, errStats } = countersView(counters, clock.now())
  return {
    ...{ success: successPerMin, failed: failedPerMin },
    errors: { total: errorCount, lines: errStats },
  }
}

/** Disks in hand. */
export async function disksOf({ client }: FigureSources, kind: JobKind): Promise<DiskFigures[]> {
  const watch = await contextOf<WatchRecord>(client, DISK_WATCH)
  const jobs = await Promise.all(
    disksInHand(watch, kind).map((diskId) => jobOf(client, kind, diskId)),
  )
  return jobs.filter((job) => job !== undefined).map(progressOf)
}

/** Undefined where it has gone. */
async function jobOf(
  client: Client,
  kind: JobKind,
  diskId: number,
): Promise<JobRecord | undefined> {
  return (await viewOf(client, jobAddress(kind, diskId)))?.context as JobRecord | undefined
}

async function contextOf<T>(client: Client, address: string): Promise<T> {
  return (await onlyOne(client, address)).context as T
}

/** An actor of which there is one. @throws TroupeError `unavailable` while it is being started */
export async function onlyOne(client: Client, address: string): Promise<ActorView> {
  const view = await viewOf(client, address)
  if (view) return view
  throw new TroupeError('unavailable', `${address} is being started: try again in a moment`)
}
