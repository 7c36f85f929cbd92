/**
 * The data directory that a verb works on. Decides: that of `--data`, of the configuration, or the
 * default, as `troupe start` would have it.
 */
import type { Session } from './session.ts'
import { settingsOf } from './settings.ts'
import type { Flags } from './verbs.ts'

/** @throws TroupeError `invalid-config` for the file */
export function dataOf({ terminal: { cwd } }: Session, { data, config }: Flags): string {
  const flags = {
    ...(typeof data === 'string' ? { data } : {}),
    ...(typeof config === 'string' ? { config } : {}),
  }
  return settingsOf(flags, cwd).data
}
