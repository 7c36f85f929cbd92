/**
 * The users of the HTTP interface. Decides: whose token it is, in a time that says nothing about the
 * tokens. Of a token only its hash is kept in memory.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Role, TroupeError, type UserConfig } from '../protocol/index.ts'

export interface User {
  name: string
  role: Role
}

/** Shorter ones could be guessed. */
const TOKEN_LENGTH_MIN = 16
const TOKEN_FILE_BYTES_MAX = 4_096

export class Users {
  readonly #known: readonly { user: User; digest: Buffer }[]

  /** Reads the files of tokens. @throws TroupeError `invalid-config`, which never shows a token */
  constructor(configured: readonly UserConfig[] = []) {
    const known: { user: User; digest: Buffer }[] = []
    configured.forEach((one, index) => {
      const digest = digestOf(one, `http.users.${index}`)
      const other = known.find((earlier) => earlier.digest.equals(digest))
      if (other) {
        throw refusal(
          `http.users.${index}: ${one.name} and ${other.user.name} have the same token; each needs one of its own`,
        )
      }
      known.push({ user: { name: one.name, role: one.role }, digest })
    })
    this.#known = known
  }

  get isEmpty(): boolean {
    return this.#known.length === 0
  }

  /** Every user is compared, whoever it is. */
  find(token: string): User | undefined {
    const digest = sha256(token)
    let found: User | undefined
    for (const { user, digest: own } of this.#known) if (timingSafeEqual(digest, own)) found = user
    return found
  }
}

function digestOf({ tokenSha256, tokenFile }: UserConfig, place: string): Buffer {
  if (tokenSha256 !== undefined && tokenFile === undefined) {
    if (/^[0-9a-f]{64}$/i.test(tokenSha256)) return Buffer.from(tokenSha256, 'hex')
    throw refusal(`${place}.tokenSha256: it has 64 hexadecimal digits`)
  }
  if (tokenFile === undefined || tokenSha256 !== undefined) {
    throw refusal(`${place}: exactly one of tokenSha256 and tokenFile is wanted`)
  }
  return sha256(readToken(tokenFile, `${place}.tokenFile`))
}

function readToken(path: string, place: string): string {
  let token: string
  try {
    const bytes = readFileSync(path)
    if (bytes.length > TOKEN_FILE_BYTES_MAX) throw new Error('it is too large to be a token')
    token = bytes.toString('utf8').trim()
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    throw refusal(`${place}: ${path}: ${code === 'ENOENT' ? 'there is no such file' : message}`)
  }
  if (token.length < TOKEN_LENGTH_MIN || !/^[\x21-\x7e]+$/.test(token)) {
    throw refusal(
      `${place}: ${path}: a token is one line of at least ${TOKEN_LENGTH_MIN} letters, digits and signs (openssl rand -hex 32 makes one)`,
    )
  }
  return token
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function refusal(why: string): TroupeError {
  return new TroupeError('invalid-config', why)
}
