/**
 * The switches of background tasks, by the names that the reference has for them. Decides: which there are.
 * A migration that an operator asks for by hand has none.
 */
import { z } from 'zod'

export const SWITCH_NAMES = [
  'balance',
  'disk_repair',
  'disk_drop',
  'blob_delete',
  'shard_repair',
  'volume_inspect',
] as const
export type SwitchName = (typeof SWITCH_NAMES)[number]

export const switchName = z.enum(SWITCH_NAMES)

/** Of the configuration: those that are open when the store is installed. */
export const openSwitches = z.array(switchName).default([])
