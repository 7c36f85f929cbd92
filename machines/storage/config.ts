/** The section `storage` of the configuration: one part per room that has settings. */
import { z } from 'zod'
import { accessLimits } from './plane/access/index.ts'
import { planeConfig } from './plane/config.ts'

export const storageConfig = z.strictObject({
  plane: planeConfig.prefault({}),
  /** Of putting, getting and deleting blobs. */
  access: accessLimits.prefault({}),
})
export type StorageConfig = z.output<typeof storageConfig>
