/**
 * Where the bytes of a deal's piece come from. Decides: the order: directories of this worker, then the
 * manager's store of pieces. Leaves to others: reading them (processor `add_pieces`).
 */
import { stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { TroupeError } from '../../../src/index.ts'
import { isMissing } from '../stores/index.ts'
import type { PieceAddress, PieceFile, PieceSources } from './ports.ts'

/** A content id or the hex of a commitment: it becomes a name of a file and a part of a url. */
const PIECE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const STORE_PATH = 'piecestore/'

export interface PieceSourcesConfig {
  /** Absolute paths, asked in this order. */
  directories: readonly string[]
  /** Of the manager; null: it has no store of pieces. */
  managerUrl: string | null
  /** For it. With one, this worker fetches pieces itself: processors know of no tokens. */
  token?: string | undefined
}

/** @throws TroupeError `malformed` for directories that are no absolute paths */
export function pieceSources(config: PieceSourcesConfig): PieceSources {
  const relative = config.directories.find((directory) => !isAbsolute(directory))
  if (relative !== undefined) {
    const why = `the directory of pieces "${relative}" is no absolute path: write it from the root`
    throw new TroupeError('malformed', why)
  }
  return {
    find: (cid) => find(config, cid),
    uploadAddress: (name) => addressOf(config, name),
  }
}

async function find(config: PieceSourcesConfig, cid: string): Promise<PieceFile> {
  const { directories } = config
  if (!PIECE_NAME.test(cid)) {
    throw new TroupeError('malformed', `"${cid.slice(0, 128)}" cannot be the name of a piece`)
  }
  for (const directory of directories) {
    const local = join(directory, cid)
    if (await isFile(local)) return { local }
  }
  const address = addressOf(config, cid)
  if (address) return address
  const looked = directories.join(', ') || 'no directory'
  const why = `the piece ${cid} is nowhere (looked in ${looked}): put it there, or name a manager that has pieces`
  throw new TroupeError('invalid-query', why)
}

function addressOf({ managerUrl, token }: PieceSourcesConfig, name: string): PieceAddress | null {
  if (managerUrl === null || !PIECE_NAME.test(name)) return null
  // The last part of a url without a slash behind it would be replaced.
  const base = managerUrl.endsWith('/') ? managerUrl : `${managerUrl}/`
  return { url: new URL(`${STORE_PATH}${name}`, base).href, token }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (thrown) {
    if (isMissing(thrown)) return false
    throw thrown
  }
}
