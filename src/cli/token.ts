/**
 * The token by which a verb says who calls. Decides: where it comes from: `--token`, then
 * `TROUPE_TOKEN`, then the file that `TROUPE_TOKEN_FILE` names. No message shows it.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { UsageError } from './exit-codes.ts'
import type { Terminal } from './terminal.ts'

/** @throws UsageError */
export function tokenOf(
  flag: string | undefined,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
): string | undefined {
  if (flag !== undefined) return checked(flag, '--token')
  const named = env['TROUPE_TOKEN']
  if (named !== undefined && named !== '') return checked(named, 'TROUPE_TOKEN')
  const file = env['TROUPE_TOKEN_FILE']
  if (file === undefined || file === '') return undefined
  try {
    return checked(readFileSync(resolve(cwd, file), 'utf8'), `TROUPE_TOKEN_FILE ${file}`)
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown
    throw new UsageError(`TROUPE_TOKEN_FILE: ${(thrown as Error).message}`)
  }
}

/** It stands in a header. */
function checked(given: string, place: string): string {
  const token = given.trim()
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new UsageError(`${place}: a token is one line of letters, digits and signs`)
}
