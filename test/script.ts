/**
 * How a script of the tests becomes a process of its own. Decides: what the test command has just compiled is run
 * as it is; tsx would compile it again in every process, a second of work each. Where the test command has not
 * compiled it (a file run by hand), the source is run, so that nobody tests what was built yesterday.
 */
import { join, relative } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
/** Set by run.ts. */
const HAS_BUILT = 'TROUPE_TEST_BUILT'

/** @returns the arguments of `node` that run `script`, the path of a source */
export function scriptArguments(script: string, env: NodeJS.ProcessEnv = process.env): string[] {
  if (env[HAS_BUILT] !== '1') return ['--import', import.meta.resolve('tsx'), script]
  return [join(ROOT, 'dist', relative(ROOT, script)).replace(/\.ts$/, '.js')]
}
