/**
 * What `troupe start` does at a SIGHUP: it reads its configuration again. Decides: that the users take
 * effect at once, that everything else is named and waits for a restart, and that a file with a mistake
 * changes nothing.
 */
import type { Gateway } from '../gateway/index.ts'
import type { Log } from '../ports/index.ts'
import { type Settings, type StartFlags, settingsOf } from './settings.ts'
import type { Terminal } from './terminal.ts'

/** Never throws: nobody waits for it. @param before what the node was started with */
export async function reload(
  gateway: Pick<Gateway, 'reload'>,
  before: Settings,
  flags: StartFlags,
  { cwd }: Pick<Terminal, 'cwd'>,
  log: Log,
): Promise<void> {
  try {
    const after = settingsOf(flags, cwd)
    await gateway.reload(after.users).catch((thrown: unknown) => {
      throw after.locate(thrown)
    })
    log.info({ users: after.users.length }, 'the configuration was read again')
    const settings = changedSettings(before, after)
    if (settings.length > 0)
      log.warn({ settings }, 'these have changed too, and wait for a restart')
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    log.error({ why }, 'the configuration cannot be read again; what was read before stays')
  }
}

/** Beside the users. */
function changedSettings(before: Settings, after: Settings): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof Settings)[]
  const isChanged = (name: keyof Settings) =>
    JSON.stringify(before[name]) !== JSON.stringify(after[name])
  return names.filter((name) => name !== 'users' && isChanged(name))
}
