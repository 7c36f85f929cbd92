/**
 * The users of the HTTP interface. Decides: whose token it is, in a time that says nothing about the
 * tokens, and what may take the place of a list of users. Of a token only its hash is kept in memory.
 * Leaves to others: when files of tokens are read (credentials.ts).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type Role, TroupeError, type UserConfig } from '../protocol/index.ts'

export interface User {
  name: string
  role: Role
}

export interface KnownUser extends User {
  /** Of the token. */
  digest: Buffer
}

/** Shorter ones could be guessed. */
const TOKEN_LENGTH_MIN = 16
const TOKEN_FILE_BYTES_MAX = 4_096

export class Users {
  #known: readonly KnownUser[]

  constructor(known: readonly KnownUser[] = []) {
    this.#known = known
  }

  get isEmpty(): boolean {
    return this.#known.length === 0
  }

  /** Every user is compared, whoever it is. */
  find(token: string): User | undefined {
    const digest = sha256(token)
    let found: User | undefined
    for (const user of this.#known) if (timingSafeEqual(digest, user.digest)) found = user
    return found
  }

  /**
   * @returns the names of those who came, went, or have another token or role
   * @throws TroupeError `invalid-config` where there would be users for the first time, or none any more
   */
  replace(known: readonly KnownUser[]): string[] {
    if (this.isEmpty !== (known.length === 0)) {
      const why = this.isEmpty ? 'there were none at the start' : 'none are left'
      // Addresses were taken, and browsers are kept out, by whether there are any.
      throw refusal(`http.users: ${why}: whether there are users takes a restart of the node`)
    }
    const names = new Set([...this.#known, ...known].map(({ name }) => name))
    const changed = [...names].filter(
      (name) => !isSame(named(this.#known, name), named(known, name)),
    )
    this.#known = known
    return changed
  }
}

function named(known: readonly KnownUser[], name: string): KnownUser | undefined {
  return known.find((one) => one.name === name)
}

function isSame(one: KnownUser | undefined, other: KnownUser | undefined): boolean {
  return one !== undefined && other?.role === one.role && other.digest.equals(one.digest)
}

/** Reads the files of tokens. @throws TroupeError `invalid-config`, which never shows a token */
export async function readUsers(configured: readonly UserConfig[] = []): Promise<KnownUser[]> {
  const known: KnownUser[] = []
  for (const [index, one] of configured.entries()) {
    const { name, role } = one
    const digest = await digestOf(one, `http.users.${index}`)
    const other = known.find((earlier) => earlier.digest.equals(digest))
    if (other) {
      throw refusal(
        `http.users.${index}: ${name} and ${other.name} have the same token; each needs one of its own`,
      )
    }
    known.push({ name, role, digest })
  }
  return known
}

async function digestOf({ tokenSha256, tokenFile }: UserConfig, place: string): Promise<Buffer> {
  if (tokenSha256 !== undefined && tokenFile === undefined) {
    if (/^[0-9a-f]{64}$/i.test(tokenSha256)) return Buffer.from(tokenSha256, 'hex')
    throw refusal(`${place}.tokenSha256: it has 64 hexadecimal digits`)
  }
  if (tokenFile === undefined || tokenSha256 !== undefined) {
    throw refusal(`${place}: exactly one of tokenSha256 and tokenFile is wanted`)
  }
  return sha256(await readToken(tokenFile, `${place}.tokenFile`))
}

async function readToken(path: string, place: string): Promise<string> {
  let token: string
  try {
    const bytes = await readFile(path)
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
