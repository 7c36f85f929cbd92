/**
 * The token by which a verb says who calls, and the authority by which it knows the node. Decides: where
 * they come from: `--token`, then `TROUPE_TOKEN`, then the file that `TROUPE_TOKEN_FILE` names; `--ca`,
 * then `TROUPE_CA`. No message shows a token.
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

/** @throws UsageError for a file that cannot be read, or holds no certificate */
export function authorityOf(
  flag: string | undefined,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
): string | undefined {
  const place = flag === undefined ? 'TROUPE_CA' : '--ca'
  const file = flag ?? env['TROUPE_CA']
  if (file === undefined || file === '') return undefined
  let pem: string
  try {
    pem = readFileSync(resolve(cwd, file), 'utf8')
  } catch (thrown) {
    throw new UsageError(`${place}: ${(thrown as Error).message}`)
  }
  if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem
  throw new UsageError(`${place}: ${file} holds no certificate (PEM)`)
}
