/** Which Troupe this is. Decides: that the package says so, wherever the built files lie in it. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

let known: string | undefined

export function troupeVersion(): string {
  known ??= readVersion(import.meta.dirname)
  return known
}

function readVersion(directory: string): string {
  const path = join(directory, 'package.json')
  if (existsSync(path)) {
    const { name, version } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    if (name === 'troupe' && typeof version === 'string') return version
  }
  const above = dirname(directory)
  return above === directory ? 'unknown' : readVersion(above)
}
