/**
 * The piece store: files that workers fetch to put into sectors, and bring from sectors that they unseal.
 * Decides: their names, how large one may be, and that half a file is never seen. Leaves to others: whose deal a
 * piece is. None is removed: to rebuild a sector its pieces are fetched again, and who had one brought back comes
 * for it.
 */
import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { TroupeError } from '../../../src/index.ts'
import { flush, namesIn } from '../stores/index.ts'
import { commitmentOfCid } from '../venus/index.ts'

/** Hex of a commitment, another program's CID, or how an operator wants a piece called that comes back. */
const NAME = /^[0-9A-Za-z][\w.-]{0,127}$/
/** No name of a piece. */
const DRAFTS = '.drafts'
/** Nobody writes to one for so long: its node died. */
const DRAFT_MS_MAX = 86_400_000

export class Pieces {
  readonly #directory: string
  readonly #bytesMax: number

  constructor(directory: string, bytesMax: number) {
    this.#directory = directory
    this.#bytesMax = bytesMax
  }

  /** @throws TroupeError `not-found` */
  async read(cid: string): Promise<{ bytes: Readable; size: number }> {
    const path = this.#pathOf(cid)
    const found = await stat(path).catch(() => null)
    if (!found?.isFile()) {
      const where =
        'this node has no such file; nodes of a cluster share apps.sealing.manager.pieceStore'
      throw new TroupeError('not-found', `there is no piece ${cid.slice(0, 128)}: ${where}`)
    }
    return { bytes: createReadStream(path), size: found.size }
  }

  /**
   * What is there under that name already is replaced. @param announced how many bytes will come, if it is
   * known: what is too large is then not begun @returns its bytes @throws TroupeError `too-large`
   */
  async write(cid: string, content: Readable | Uint8Array, announced = 0): Promise<number> {
    const path = this.#pathOf(cid)
    if (announced > this.#bytesMax) throw tooLarge(this.#bytesMax)
    const drafts = join(this.#directory, DRAFTS)
    await mkdir(drafts, { recursive: true })
    await sweep(drafts)
    const draft = join(drafts, randomUUID())
    try {
      await pipeline(
        upTo(this.#bytesMax, content instanceof Uint8Array ? [content] : unbroken(content)),
        createWriteStream(draft, { flags: 'wx' }),
      )
      const size = await flushed(draft)
      await rename(draft, path)
      await flush(this.#directory)
      return size
    } finally {
      await rm(draft, { force: true })
    }
  }

  /** @throws TroupeError `malformed` */
  #pathOf(cid: string): string {
    const name = commitmentOfCid(cid)
    requirePieceName(name)
    return join(this.#directory, name)
  }
}

/** @throws TroupeError `malformed` */
export function requirePieceName(name: string): void {
  if (NAME.test(name)) return
  const form = 'a letter or digit, then at most 127 of them, "_", "." or "-"'
  throw new TroupeError('malformed', `"${name.slice(0, 64)}" cannot name a piece: ${form}`)
}

async function* upTo(
  bytesMax: number,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  let bytes = 0
  for await (const chunk of content) {
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLarge(bytesMax)
    yield chunk
  }
}

/** It is left open when nobody reads on: who sends is still to be answered. */
function unbroken(content: Readable): AsyncIterable<Uint8Array> {
  return content.iterator({ destroyOnReturn: false })
}

function tooLarge(bytesMax: number): TroupeError {
  const limit = 'pieceBytesMax'
  const why = `a piece has at most ${bytesMax} bytes here (apps.sealing.manager.${limit})`
  return new TroupeError('too-large', why, { detail: { limit, max: bytesMax } })
}

/** Of several nodes each may be the first. */
async function sweep(drafts: string): Promise<void> {
  for (const name of await namesIn(drafts)) {
    const path = join(drafts, name)
    const found = await stat(path).catch(() => null)
    if (found && Date.now() - found.mtimeMs > DRAFT_MS_MAX) await rm(path, { force: true })
  }
}

async function flushed(path: string): Promise<number> {
  const file = await open(path, 'r')
  try {
    await file.sync()
    return (await file.stat()).size
  } finally {
    await file.close()
  }
}
