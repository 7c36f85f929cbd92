/**
 * The file `config.toml` in a thread's own directory: settings that can be changed while the worker runs.
 * Decides: when it is read (its time or size has changed), and that a file with a mistake changes nothing.
 * Leaves to others: telling the thread, for which they hold from its next sector on.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Log, TroupeError } from '../../../src/index.ts'
import type { PlanName } from '../plans/index.ts'
import type { SealingSettings } from '../thread/index.ts'
import { readToml, type ThreadConfig } from './config.ts'
import { settingsOf } from './sealing-settings.ts'
import { type HotKeys, hotKeys, type SealingKeys } from './worker-toml.ts'

export const HOT_FILE = 'config.toml'

/** What a thread is told to be. */
export interface EffectiveConfig {
  plan: PlanName
  settings: SealingSettings
}

interface Seen {
  /** Empty while there is no file. */
  stamp: string
  keys: HotKeys
}

export class HotConfig {
  readonly #shared: SealingKeys | undefined
  readonly #log: Log
  readonly #seen = new Map<string, Seen>()

  /** @param shared what `[sealing]` of the worker's file says */
  constructor(shared: SealingKeys | undefined, log: Log) {
    this.#shared = shared
    this.#log = log
  }

  /** @returns true when the thread has to be told anew */
  look(thread: ThreadConfig): boolean {
    if (thread.location === null) return false
    const path = join(thread.location, HOT_FILE)
    const stamp = stampOf(path)
    const before = this.#seen.get(thread.name)
    if (stamp === (before?.stamp ?? '')) return false
    const keys = this.#read(path, stamp) ?? before?.keys ?? {}
    this.#seen.set(thread.name, { stamp, keys })
    return JSON.stringify(keys) !== JSON.stringify(before?.keys ?? {})
  }

  effective({ name, plan, settings, own }: ThreadConfig): EffectiveConfig {
    const hot = this.#seen.get(name)?.keys
    if (hot === undefined) return { plan, settings }
    return { plan: hot.plan ?? plan, settings: settingsOf(this.#shared, own, hot.sealing) }
  }

  /** Undefined for a file with a mistake. */
  #read(path: string, stamp: string): HotKeys | undefined {
    if (stamp === '') return {}
    try {
      const { toml, warnings } = readToml(hotKeys, readFileSync(path, 'utf8'), path)
      for (const warning of warnings) this.#log.warn({ path }, warning)
      return toml
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) && errnoOf(thrown) === undefined) throw thrown
      const problem = (thrown as Error).message
      this.#log.error({ path, problem }, 'settings of a thread were not taken over')
      return undefined
    }
  }
}

function stampOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path)
    return `${mtimeMs} ${size} ${ino}`
  } catch {
    return ''
  }
}

function errnoOf(thrown: unknown): string | undefined {
  return (thrown as NodeJS.ErrnoException).code
}
