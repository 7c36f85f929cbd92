/**
 * The sections of apps in a configuration. Decides: that each belongs to an app and fits its schema, and
 * that every mistake names its path.
 */
import type { ZodType } from 'zod'
import { TroupeError } from './errors.ts'
import { nearest } from './nearest.ts'

/** What is asked of an app. */
interface Configured {
  name: string
  config?: ZodType
}

/** The section of each app, checked, in their order. @throws TroupeError `invalid-config` */
export function sectionsOf(
  apps: readonly Configured[],
  config: Readonly<Record<string, unknown>>,
): unknown[] {
  const names = apps.map((app) => app.name)
  const unknown = Object.keys(config).find((name) => !names.includes(name))
  if (unknown !== undefined) {
    const near = nearest(unknown, names)
    const hint = near === undefined ? '' : `; did you mean "${near}"?`
    throw new TroupeError(
      'invalid-config',
      `apps.${unknown}: there is no app "${unknown}"${hint} (there are: ${names.join(', ') || 'none'})`,
    )
  }
  return apps.map((app) => sectionOf(app, config))
}

/** An app without a schema takes no section. */
function sectionOf(app: Configured, config: Readonly<Record<string, unknown>>): unknown {
  const given = config[app.name]
  if (!app.config) {
    if (given !== undefined)
      throw new TroupeError('invalid-config', `apps.${app.name}: this app takes no configuration`)
    return undefined
  }
  const parsed = app.config.safeParse(given ?? {})
  if (parsed.success) return parsed.data
  const { issues } = parsed.error
  const mistakes = issues.map((issue) => {
    // Of a key that is not known the path ends above it.
    const keys = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
    const path = ['apps', app.name, ...issue.path, ...keys].map(String).join('.')
    return `${path}: ${issue.message}`
  })
  throw new TroupeError('invalid-config', mistakes.join('\n'), { detail: issues })
}
