/** The secret that callers of a worker's interface have to know. Decides: what a file with one looks like. */
import { readFileSync } from 'node:fs'
import { TroupeError } from '../../../src/index.ts'

/** @throws TroupeError `invalid-config` */
export function tokenOf(file: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (cause) {
    throw new TroupeError('invalid-config', `cannot read the token in ${file}`, { cause })
  }
  if (/^\S{8,}$/.test(text)) return text
  const why = `${file} holds no token: it is one word of at least 8 characters`
  throw new TroupeError('invalid-config', why)
}
