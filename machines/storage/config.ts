/** The section `storage` of the configuration: one part per room that has settings. */
import { z } from 'zod'
import { backgroundConfig } from './background/config.ts'
import { accessLimits } from './plane/access/index.ts'
import { planeConfig } from './plane/config.ts'
import { upkeepConfig } from './plane/upkeep/index.ts'

export const storageConfig = z.strictObject({
  plane: planeConfig.prefault({}),
  /** Of putting, getting and deleting blobs. */
  access: accessLimits.prefault({}),
  /** Of repair and deletion. */
  upkeep: upkeepConfig.prefault({}),
  background: backgroundConfig.prefault({}),
})
export type StorageConfig = z.output<typeof storageConfig>
