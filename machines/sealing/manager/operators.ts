/**
 * What operators see of sectors, deals and stores, and do to them. Decides: what is checked of their
 * wishes. Leaves to others: what follows from one (`sector-rules.ts`), who may (the gateway).
 */
import { randomBytes } from 'node:crypto'
import {
  type ActorRow,
  type Client,
  type Clock,
  parseAddress,
  TroupeError,
} from '../../../src/index.ts'
import { type Deal, parseSectorName, type SectorId, sealProofOf } from '../venus/index.ts'
import type { ManagerConfig } from './config.ts'
import type { ContentChecks } from './content-checks.ts'
import type { DealEntry, DealsAnswer } from './deals.ts'
import { CallFailure, isCode } from './failures.ts'
import { type Pieces, requirePieceName } from './pieces.ts'
import { keptProof } from './proofs.ts'
import type { SectorRecord, Standing } from './sector-record.ts'
import { dealsAddress } from './sector-rules.ts'
import { Sectors } from './sectors.ts'

const PIECE_BYTES_MIN = 128
/** Of 128 bytes in a sector 127 hold data. */
const DATA_SHARE = 127 / 128
const DESTINATIONS = ['http:', 'https:', 'market:', 'file:', 'store:']
const LIST_COUNT_MAX = 1_000

export interface SectorSummary {
  sector: string
  standing: Standing
  /** As its worker reported last; null before it did. */
  state: string | null
  worker: string | null
  store: string | null
  /** Why it was aborted, or what failed last. */
  reason: string
  /** Unix ms: in this standing. */
  since: number
  /** Unix ms: when its worker was heard of last. */
  heardAt: number
}

export interface SectorQuery {
  standing?: Standing | undefined
  miner?: number | undefined
  worker?: string | undefined
  /** Those that somebody should work on, of whom nobody heard for so long; the longest first. */
  silentMs?: number | undefined
  limit?: number | undefined
  cursor?: string | undefined
}

export interface OperatorsDeps {
  client: Client
  clock: Clock
  config: ManagerConfig
  content: ContentChecks
  pieces: Pieces
}

export class Operators {
  readonly #deps: OperatorsDeps
  readonly #sectors: Sectors

  constructor(deps: OperatorsDeps) {
    this.#deps = deps
    this.#sectors = new Sectors(deps.client)
  }

  async sectors(query: SectorQuery): Promise<{ sectors: SectorSummary[]; cursor?: string }> {
    const { miner, worker, silentMs, limit = LIST_COUNT_MAX, cursor } = query
    const standing = query.standing ?? (silentMs === undefined ? undefined : 'online')
    const where = {
      ...(miner === undefined ? {} : { miner }),
      ...(worker === undefined ? {} : { worker }),
    }
    const page = await this.#deps.client.list({
      filter: {
        machine: 'sealing-sector',
        where,
        ...(standing === undefined ? {} : { state: standing }),
      },
      sort: { by: silentMs === undefined ? 'number' : 'heardAt' },
      limit: Math.min(limit, LIST_COUNT_MAX),
      ...(cursor === undefined ? {} : { cursor }),
    })
    const all = page.rows.map(summaryOf)
    const heardBefore = silentMs === undefined ? Infinity : this.#deps.clock.now() - silentMs
    const sectors = all.filter(({ heardAt }) => heardAt <= heardBefore)
    // Sorted by it: behind one that was heard of there is none that was not.
    if (sectors.length < all.length) return { sectors }
    return page.cursor === undefined ? { sectors } : { sectors, cursor: page.cursor }
  }

  /** @throws TroupeError `not-found` */
  async sector(name: string): Promise<SectorRecord> {
    return asOperator(this.#sectors.record(parseSectorName(name)))
  }

  /** Base64, the newest. @throws TroupeError `not-found` */
  async proof(name: string): Promise<{ sha256: string; proof: string }> {
    const { sector, proof, upgrade, upgraded } = await this.sector(name)
    const sha256 = upgrade?.proof?.sha256 ?? upgraded?.proofSha256 ?? proof?.sha256
    const kept = sha256 && (await keptProof(this.#deps.client, sector.ID, sha256))
    if (sha256 && kept) return { sha256, proof: kept }
    throw new TroupeError(
      'not-found',
      `no proof of ${name} was submitted, or its time is over (policy.proofsKeptMs)`,
    )
  }

  /** Its worker is told at its next report; `now` is for one that does not report any more. */
  async abort(
    name: string,
    { reason, now }: { reason: string; now: boolean },
    author: string,
  ): Promise<SectorRecord> {
    const at = this.#deps.clock.now()
    return this.#change(name, author, { type: 'ABORT', at, by: author, reason, now })
  }

  async finalize(name: string, reason: string, author: string): Promise<SectorRecord> {
    const at = this.#deps.clock.now()
    return this.#change(name, author, { type: 'FINALIZE', at, by: author, reason })
  }

  async rebuild(name: string, author: string): Promise<SectorRecord> {
    const at = this.#deps.clock.now()
    return this.#change(name, author, { type: 'REBUILD', at, by: author })
  }

  /** A piece of it, or all of it. @throws TroupeError `malformed`, `not-found` */
  async unseal(
    name: string,
    { piece, dest }: { piece?: string | undefined; dest: readonly string[] },
    author: string,
  ): Promise<SectorRecord> {
    for (const url of dest) requireDestination(url)
    const place = placeOf(await this.sector(name), piece)
    const wish = { at: this.#deps.clock.now(), by: author, task: null, dest: [...dest] }
    return this.#change(name, author, { type: 'UNSEAL', unseal: { ...wish, ...place } })
  }

  /** @throws TroupeError `not-found` */
  async deals(miner: number): Promise<DealEntry[]> {
    this.#minerOf(miner)
    try {
      const { context } = await this.#deps.client.get(dealsAddress(miner))
      return (context as { deals: DealEntry[] }).deals
    } catch (thrown) {
      if (isCode(thrown, 'unknown-actor')) return []
      throw thrown
    }
  }

  /**
   * A deal with this payload, or with so many random bytes. Its file is there before the deal is.
   * @throws TroupeError `malformed`, `too-large`, `not-found`
   */
  async addDeal(
    miner: number,
    given: Uint8Array | { sizeBytes: number },
    author: string,
  ): Promise<{ id: number; piece: string; sizeBytes: number }> {
    const { proof } = this.#minerOf(miner)
    const { content, pieces, clock } = this.#deps
    const room = Math.floor(proof.sizeBytes * DATA_SHARE)
    const bytes = given instanceof Uint8Array ? given.length : given.sizeBytes
    if (bytes < 1 || bytes > room) {
      const why = `a piece of ${bytes} bytes fits into no sector of miner ${miner}: 1 to ${room} do`
      throw new TroupeError('too-large', why)
    }
    const payload = given instanceof Uint8Array ? given : randomBytes(bytes)
    const sizeBytes = paddedSize(bytes)
    const commitment = content.commitmentOfPiece(payload, sizeBytes)
    await pieces.write(commitment, payload)
    const address = dealsAddress(miner)
    const client = this.#deps.client.as(author)
    await client.ensure(address)
    const event = { type: 'ADD', commitment, sizeBytes, payloadBytes: bytes, at: clock.now() }
    const answer = (await client.ask(address, event)) as DealsAnswer | undefined
    if (answer && 'refused' in answer) throw new TroupeError(answer.refused, answer.message)
    if (answer && 'id' in answer) return { id: answer.id, piece: commitment, sizeBytes }
    throw new TroupeError('busy', `${address} is paused: troupe actors resume ${address}`)
  }

  async #change(
    name: string,
    author: string,
    event: Parameters<Sectors['apply']>[1],
  ): Promise<SectorRecord> {
    const id: SectorId = parseSectorName(name)
    await asOperator(this.#sectors.as(author).apply(id, event))
    return this.sector(name)
  }

  #minerOf(id: number): ManagerConfig['miners'][number] {
    const found = this.#deps.config.miners.find((one) => one.id === id)
    if (found) return found
    const known = this.#deps.config.miners.map((one) => one.id).join(', ')
    throw new TroupeError('not-found', `there is no miner ${id} here (there are: ${known})`)
  }
}

function summaryOf({ address, value, index, since }: ActorRow): SectorSummary {
  const text = (field: string) => (index[field] == null ? null : String(index[field]))
  return {
    sector: parseAddress(address).id,
    standing: value as Standing,
    state: text('state'),
    worker: text('worker'),
    store: text('store'),
    reason: text('reason') ?? '',
    since,
    heardAt: Number(index['heardAt']),
  }
}

/** Where a piece lies, in padded bytes; without a name the whole sector. */
function placeOf(
  { sector, deals, preCommit }: SectorRecord,
  piece: string | undefined,
): { pieceCid: string; offset: number; sizeBytes: number } {
  const { sizeBytes } = sealProofOf(sector.ProofType)
  if (piece === undefined) {
    const pieceCid = Buffer.from(preCommit?.commD ?? '', 'base64').toString('hex')
    return { pieceCid, offset: 0, sizeBytes }
  }
  let offset = 0
  for (const { Piece } of deals as Deal[]) {
    if (Piece.Cid === piece) return { pieceCid: piece, offset, sizeBytes: Piece.Size }
    offset += Piece.Size
  }
  const known = deals.flatMap(({ ID, Piece }) => (ID === 0 ? [] : [Piece.Cid])).join(', ') || 'none'
  throw new TroupeError(
    'not-found',
    `there is no piece ${piece.slice(0, 128)} in it (there are: ${known})`,
  )
}

/** The smallest power of two that has room for the data. */
function paddedSize(bytes: number): number {
  let size = PIECE_BYTES_MIN
  while (size * DATA_SHARE < bytes) size *= 2
  return size
}

function requireDestination(url: string): void {
  if (URL.canParse(url) && DESTINATIONS.includes(new URL(url).protocol)) {
    const { protocol, host, pathname } = new URL(url)
    // Told now: to unseal takes hours, and the piece store would refuse the name behind that.
    if (protocol === 'store:' && host === '') requirePieceName(pathname.slice(1))
    return
  }
  const why = `"${url.slice(0, 100)}" is no destination: write http://…, market://…, file:///path or store://name/path`
  throw new TroupeError('malformed', why)
}

/** The code of an unknown sector is for workers. */
async function asOperator<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (thrown) {
    if (thrown instanceof CallFailure) throw new TroupeError('not-found', thrown.message)
    throw thrown
  }
}
