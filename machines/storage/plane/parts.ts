/**
 * What the rooms of the store share on a node. Decides: that there is one of each, opened with the node and
 * closed with it, and what each room is given of the others. Leaves to others: all they do.
 */
import type { AppContext, AppDaemon, Client } from '../../../src/index.ts'
import type { StorageConfig } from '../config.ts'
import { Switches } from '../switches/index.ts'
import { BlobnodeClient } from './blobnode/index.ts'
import { vuidOf } from './codes/index.ts'
import type { PlaneConfig } from './config.ts'
import { Disks, DiskTable, type DiskView, Heartbeats } from './disks/index.ts'
import { Erasure } from './erasure/index.ts'
import { tokenIn } from './token-file.ts'
import { DeletePace, openUpkeep, Upkeep, type UpkeepPorts } from './upkeep/index.ts'
import {
  Bids,
  openVolumes,
  StrayChunks,
  VolumeCalls,
  VolumeMaker,
  Volumes,
  VolumeViews,
} from './volumes/index.ts'

export interface Parts {
  readonly client: Client
  readonly config: PlaneConfig
  /** The node's name. */
  readonly node: string
  readonly blobnodes: BlobnodeClient
  readonly disks: Disks
  readonly table: DiskTable
  readonly heartbeats: Heartbeats
  readonly views: VolumeViews
  readonly calls: VolumeCalls
  readonly maker: VolumeMaker
  readonly volumes: Volumes
  readonly strays: StrayChunks
  readonly erasure: Erasure
  readonly upkeep: Upkeep
  readonly switches: Switches
}

/** By the section of the configuration: that is what a task has of its node's app, too. */
const made = new WeakMap<object, Parts>()

export function partsOf(context: AppContext<StorageConfig>): Parts {
  const known = made.get(context.config)
  if (known) return known
  const parts = partsFor(context)
  made.set(context.config, parts)
  return parts
}

/** First of the app's daemons: it is stopped when no other room needs anything any more. */
export function planeDaemon(context: AppContext<StorageConfig>): AppDaemon {
  return {
    name: 'storage plane',
    start: async () => {
      const parts = partsOf(context)
      const { blobnodes, disks, table } = parts
      openVolumes(context.config, { disks, table, chunks: blobnodes })
      openUpkeep(context.config, upkeepPorts(parts, context))
    },
    stop: async () => {
      const { blobnodes, erasure } = partsOf(context)
      blobnodes.close()
      await erasure.close()
      made.delete(context.config)
    },
  }
}

function upkeepPorts(
  { volumes, views, blobnodes: shards, erasure, table, switches }: Parts,
  { clock, config: { upkeep } }: AppContext<StorageConfig>,
): UpkeepPorts {
  return {
    volumes: {
      view: (vid, options) => volumes.view(vid, options),
      vuids: async (vid) => {
        const { units } = await views.record(vid, { fresh: true })
        return units.map(({ index, epoch }) => vuidOf({ vid, index, epoch }))
      },
    },
    ...{ shards, erasure },
    brokenDisks: async () => {
      const all = [...(await table.all()).values()]
      const isBroken = ({ standing }: DiskView) => standing === 'broken' || standing === 'repairing'
      return new Set(all.filter(isBroken).map(({ diskId }) => diskId))
    },
    isOn: (kind) => switches.isOn(kind),
    deletes: new DeletePace({
      ...{ clock, hours: upkeep.deleteHours, perSecond: upkeep.deletesPerSecond },
    }),
  }
}

function partsFor(context: AppContext<StorageConfig>): Parts {
  const { client, clock, log, node } = context
  const { plane: config, upkeep: limits } = context.config
  const { heartbeatMs, heartbeatLossMs, retainMs, viewsMax, viewMs } = config
  const { chunkBytesMax, retiredKeptMs, readyKeptMs, strayLookMs, strayKeptMs } = config
  const { tokenFile } = config
  const token = tokenFile === undefined ? undefined : tokenIn(tokenFile, 'storage.plane.tokenFile')
  const timeoutMs = config.blobnodeTimeoutMs
  const blobnodes = new BlobnodeClient({ token, timeoutMs })
  const disks = new Disks(client, clock)
  const table = new DiskTable(client, clock, config.disksMs)
  const heartbeats = new Heartbeats({
    ...{ disks, table, clock, log, node, heartbeatMs, heartbeatLossMs },
  })
  const views = new VolumeViews({ client, clock, table, viewsMax, viewMs })
  const calls = new VolumeCalls({ client, clock, views, table, chunks: blobnodes })
  const common = { calls, views, chunks: blobnodes, clock, token: node, retainMs }
  const maker = new VolumeMaker({
    ...{ ...common, client, table, chunkBytesMax, retiredKeptMs, readyKeptMs },
  })
  const strays = new StrayChunks({
    ...{ disks, table, views, chunks: blobnodes, clock, log, node, strayLookMs, strayKeptMs },
  })
  const volumes = new Volumes({
    ...{ ...common, maker, log, bids: new Bids(client, config.bidsPerRange) },
    ...{ tendMs: heartbeatMs, weakMs: heartbeatLossMs, activePerMode: config.activePerMode },
  })
  const erasure = Erasure.onDemand()
  const upkeep = new Upkeep({ client, clock, safeDelayMs: limits.safeDelayMs })
  return {
    ...{ client, config, node, blobnodes, disks, table, heartbeats, views, calls, maker, volumes },
    ...{ strays, erasure, upkeep, switches: new Switches(context) },
  }
}
