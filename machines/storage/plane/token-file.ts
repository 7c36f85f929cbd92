/**
 * The token that nodes and blobnodes share, in a file. Decides: what a token is, which is what a gateway takes for
 * one; that the file is named where it is wrong, and what is in it never.
 */
import { readFileSync } from 'node:fs'
import { TroupeError } from '../../../src/index.ts'
import { messageOf } from './why.ts'

const TOKEN = /^[\x21-\x7e]{16,}$/

/** @param place of the setting, for people @throws TroupeError `invalid-config` */
export function tokenIn(path: string, place: string): string {
  const token = textOf(path, place).trim()
  if (TOKEN.test(token)) return token
  const why = 'a token is one word of at least 16 letters, digits and signs (openssl rand -hex 32)'
  throw new TroupeError('invalid-config', `${place}: ${path} holds none: ${why}`)
}

function textOf(path: string, place: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const why = `${place}: cannot read ${path}: ${messageOf(cause)}`
    throw new TroupeError('invalid-config', why, { cause })
  }
}
