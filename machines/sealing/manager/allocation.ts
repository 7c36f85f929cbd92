/**
 * How a sector begins: its number, its deals, its ticket. Decides: which miner gets it, that no number is
 * used twice, whatever became of the machine that counts them, and that a task which asks again gets the
 * sector that it has, however many others have asked since. Leaves to others: counting (`numbers.ts`).
 */
import { randomInt } from 'node:crypto'
import { type Client, type Clock, type EventObject, TroupeError } from '../../../src/index.ts'
import type { AllocatedSector, Deal, ParamsOf, SectorId, Ticket } from '../venus/index.ts'
import { sealProofOf, sectorName } from '../venus/index.ts'
import { type ChainPort, ticketOf } from './chain-port.ts'
import type { ManagerConfig, MinerConfig } from './config.ts'
import type { DealsAnswer } from './deals.ts'
import { CallFailure, FAILED, isCode } from './failures.ts'
import { numbersAddress } from './numbers.ts'
import { dealsAddress } from './sector-rules.ts'
import type { Sectors } from './sectors.ts'

type Spec = ParamsOf<'AllocateSector'>[0]

/** Numbers that turn out to be taken, one after the other: more means that somebody has set them back. */
const TAKEN_NUMBERS_MAX = 100

export interface AllocationDeps {
  client: Client
  clock: Clock
  config: ManagerConfig
  chain: ChainPort
  sectors: Sectors
}

export class Allocation {
  readonly #deps: AllocationDeps

  constructor(deps: AllocationDeps) {
    this.#deps = deps
  }

  /** Null where no miner may have one. The same task gets the same sector, until that is aborted. */
  async sector(spec: Spec, task: string | null): Promise<AllocatedSector | null> {
    const begun = task === null ? null : await this.#begunBy(task)
    if (begun) return begun
    const miner = minerFor(minersOf(this.#deps.config, spec), task)
    if (!miner) return null
    let not: number | null = null
    for (let tries = 0; tries < TAKEN_NUMBERS_MAX; tries++) {
      const number = await this.#take(miner, task, not)
      const sector = { ID: { Miner: miner.id, Number: number }, ProofType: miner.proof.number }
      if (await this.#begin(sector, task)) return sector
      not = number
    }
    const last = sectorName({ Miner: miner.id, Number: not ?? 0 })
    throw new TroupeError(
      'limit-exceeded',
      `${TAKEN_NUMBERS_MAX} sector numbers up to ${last} are taken already: raise initialNumber of miner ${miner.id}`,
    )
  }

  /** Deals for a sector; none where it may have none. */
  async deals(id: SectorId, spec: ParamsOf<'AcquireDeals'>[1]): Promise<Deal[]> {
    const { standing, sector } = await this.#deps.sectors.record(id)
    if (standing !== 'online') {
      throw new CallFailure(FAILED, `${sectorName(id)} is ${standing}: it gets no deals`)
    }
    const miner = this.#deps.config.miners.find((one) => one.id === id.Miner)
    return miner?.enableDeals ? this.acquire(sector, spec) : []
  }

  /** For a sector that is known to want some. */
  async acquire(sector: AllocatedSector, spec: ParamsOf<'AcquireDeals'>[1]): Promise<Deal[]> {
    const { sectors } = this.#deps
    const answer = await this.#askDeals(sector.ID.Miner, {
      type: 'ACQUIRE',
      sector: sectorName(sector.ID),
      sectorBytes: sealProofOf(sector.ProofType).sizeBytes,
      countMax: spec.MaxDeals ?? null,
      bytesMin: spec.MinUsedSpace ?? 0,
    })
    const pieces = answer !== null && 'pieces' in answer ? answer.pieces : []
    // The deals tell it as well, a moment later: what is submitted at once is judged by these.
    if (pieces.length > 0) await sectors.apply(sector.ID, { type: 'DEALS', pieces })
    return pieces
  }

  async ticket(id: SectorId): Promise<Ticket> {
    const { chain, config, sectors } = this.#deps
    const { height } = await chain.head()
    const from = Math.max(0, height - config.policy.ticketLookback)
    const ticket = ticketOf(await chain.ticket(id.Miner, from))
    await sectors.apply(id, { type: 'TICKET', ticket })
    return ticket
  }

  async #take(miner: MinerConfig, task: string | null, not: number | null): Promise<number> {
    const { client } = this.#deps
    const address = numbersAddress(miner.id)
    const event = { type: 'TAKE', task, atLeast: miner.initialNumber, not }
    let reply: unknown
    try {
      reply = await client.ask(address, event)
    } catch (thrown) {
      if (!isCode(thrown, 'unknown-actor')) throw thrown
      await client.ensure(address)
      reply = await client.ask(address, event)
    }
    const { number } = (reply ?? {}) as { number?: number }
    if (number !== undefined) return number
    throw new TroupeError('busy', `${address} is paused: troupe actors resume ${address}`)
  }

  /** What the task has: the counter remembers only so many of them, records all of their own. */
  async #begunBy(task: string): Promise<AllocatedSector | null> {
    const row = await this.#deps.sectors.find({ state: 'online', where: { task } })
    if (!row) return null
    const sector = { ID: row.id, ProofType: row.proofType }
    return (await this.#begin(sector, task)) ? sector : null
  }

  /** False if the number is taken, by another sector of this manager or on the chain, or was given up. */
  async #begin(sector: AllocatedSector, task: string | null): Promise<boolean> {
    const { sectors, chain, clock } = this.#deps
    if (!(await sectors.begin({ sector, at: clock.now(), task }))) {
      const known = await sectors.record(sector.ID)
      if (task === null || known.task !== task || known.standing !== 'online') return false
      // What its own precommit put on the chain takes it from nobody.
      if (known.preCommit) return true
    }
    if (!(await chain.sectorOnChain(sector.ID))) return true
    const reason = 'its number is on the chain already'
    await sectors.apply(sector.ID, { type: 'ABORTED', at: clock.now(), reason })
    return false
  }

  /** Null of a miner that never had deals. */
  async #askDeals(miner: number, event: EventObject): Promise<DealsAnswer | null> {
    const address = dealsAddress(miner)
    try {
      const reply = (await this.#deps.client.ask(address, event)) as DealsAnswer | undefined
      if (reply !== undefined) return reply
    } catch (thrown) {
      if (isCode(thrown, 'unknown-actor')) return null
      throw thrown
    }
    throw new TroupeError('busy', `${address} is paused: troupe actors resume ${address}`)
  }
}

/** The same for the same task; whoever has none gets one by lot. */
function minerFor(miners: readonly MinerConfig[], task: string | null): MinerConfig | undefined {
  if (miners.length === 0) return undefined
  const lot = task === null ? randomInt(miners.length) : Number.parseInt(task.slice(0, 8), 16)
  return miners[lot % miners.length]
}

/** Those whose sectors a worker may seal. Without a list it may seal all. */
export function minersOf(config: ManagerConfig, spec: Spec): MinerConfig[] {
  return config.miners.filter(({ enabled, ...miner }) => enabled && isAllowed(miner, spec))
}

function isAllowed({ id, proof }: Pick<MinerConfig, 'id' | 'proof'>, spec: Spec): boolean {
  return isOneOf(spec.AllowedMiners, id) && isOneOf(spec.AllowedProofTypes, proof.number)
}

export function isOneOf(allowed: readonly number[], value: number): boolean {
  return allowed.length === 0 || allowed.includes(value)
}
