/**
 * The simulated chain as the manager and operators use it. Decides: how it is founded, and what is read
 * how often: a poll reads its message, and of the chain what is new since the last block; it commits
 * nothing. Leaves to others: what is true of it (`ledger.ts`, `standing.ts`).
 *
 * What is known of the chain may be as old as one block, and at most a second: as a node of a real chain
 * hears of a block, or that one is gone, a moment later than others.
 */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Client, type Clock, type EventObject, TroupeError } from '../../../src/index.ts'
import { type ChainState, type SectorId, type Seed, sectorName } from '../venus/index.ts'
import { CHAIN, messageAddress } from './addresses.ts'
import { forkOf, heightAt, msUntil, type Reorg } from './heights.ts'
import { type ChainAnswer, type Ledger, rateOf, type Scripted } from './ledger.ts'
import type { MessageContext, SubmitVerdict } from './message.ts'
import { digestOf, randomness } from './randomness.ts'
import {
  batchOf,
  type ChainConfig,
  type ChainSettings,
  chainConfig,
  type MessageFault,
  type MessageKind,
  RATED_FAULTS,
  type RatedFault,
} from './settings.ts'
import { type Standing, standingOf } from './standing.ts'

const FRESH_MS_MAX = 1_000
const REORGS_SHOWN = 10

export interface MessageState {
  state: ChainState
  /** For people; while it is on its way it ends in `landsInMs=<ms>`, the earliest that can be. */
  desc: string
  /** Of the block that it is in. */
  height?: number
  /** The same for programs. */
  landsInMs?: number
}

export interface SeedState {
  ready: boolean
  delayMs: number
  seed?: Seed
}

export interface ChainView {
  height: number
  blockMs: number
  confidence: number
  seedDelay: number
  seedMargin: number
  /** How often the newest blocks were replaced. */
  forks: number
  /** The newest first. */
  reorgs: Reorg[]
  batches: { kind: MessageKind; miner: number; waiting: number; of: number; flushesInMs: number }[]
  rates: Record<RatedFault, number>
  scripted: Scripted[]
}

export interface FaultRequest {
  kind: MessageFault
  message?: MessageKind | undefined
  sector?: SectorId | undefined
  /** Messages that it happens to; default 1. */
  count?: number | undefined
}

export class Chain {
  readonly #client: Client
  readonly #clock: Clock
  readonly #config: ChainConfig
  #read: { atMs: number; ledger: Promise<Ledger> } | undefined
  #isConfigured = false
  /** The highest that was told: no clock that is set back takes it back. */
  #highest = 0

  /** @param config what `chainConfig` makes of `{}` is as the real chain */
  constructor(client: Client, clock: Clock, config: ChainConfig = chainConfig.parse({})) {
    this.#client = client
    this.#clock = clock
    this.#config = config
  }

  async head(): Promise<{ height: number; blockMs: number }> {
    const ledger = await this.#ledger()
    return { height: this.#headOf(ledger), blockMs: ledger.pace.blockMs }
  }

  /** Base64 of 32 bytes. @throws TroupeError `conflict` for a height that is not there yet */
  async ticket(miner: number, height: number): Promise<{ ticket: string; epoch: number }> {
    const ledger = await this.#ledger()
    const head = this.#headOf(ledger)
    if (height > head) {
      throw new TroupeError(
        'conflict',
        `height ${height} is not there yet: the chain is at ${head}`,
      )
    }
    const epoch = Math.max(0, Math.floor(height))
    return { ticket: valueAt(ledger, 'ticket', epoch, miner), epoch }
  }

  /**
   * Submits a message of a sector for the next batch. The same payload again changes nothing, unless it
   * failed and is to be replaced.
   * @throws TroupeError `conflict` when another payload is there and this is not to replace it
   */
  async submit(
    kind: MessageKind,
    sector: SectorId,
    payload: unknown,
    { replace }: { replace: boolean },
  ): Promise<void> {
    const height = this.#headOf(await this.#ledger())
    const name = sectorName(sector)
    const digest = digestOf(payload).toString('hex')
    const submission = { digest, replace, atMs: this.#clock.now(), height }
    const address = messageAddress(kind, name)
    try {
      await this.#client.start(address, { kind, sector: name, ...submission })
      return
    } catch (thrown) {
      if (!hasCode(thrown, 'already-exists')) throw thrown
    }
    const verdict = await this.#client.ask(address, { type: 'SUBMIT', ...submission })
    if ((verdict as SubmitVerdict | undefined) !== 'conflict') return
    const why = `another ${kind} of ${name} was submitted: submit this one to replace it`
    throw new TroupeError('conflict', why, { address })
  }

  async messageState(kind: MessageKind, sector: SectorId): Promise<MessageState> {
    const found = await this.#standing(kind, sector)
    if (!found) {
      return { state: 'NotFound', desc: `no ${kind} of ${sectorName(sector)} was submitted` }
    }
    const { state, height, blocksLeft, why } = found.standing
    const at = height === undefined ? {} : { height }
    if (blocksLeft === undefined) return { state, desc: why, ...at }
    const { pace } = found.ledger
    const landsInMs = msUntil(pace, found.head + blocksLeft, this.#clock.now())
    return { state, desc: `${why}; landsInMs=${landsInMs}`, ...at, landsInMs }
  }

  /** @throws TroupeError `conflict` when no precommit of the sector is on the chain */
  async seed(sector: SectorId): Promise<SeedState> {
    const found = await this.#standing('preCommit', sector)
    const { state, height } = found?.standing ?? {}
    if (!found || height === undefined || (state !== 'Packed' && state !== 'Landed')) {
      const why = `${sectorName(sector)} has no seed: no precommit of it is on the chain`
      throw new TroupeError('conflict', why)
    }
    const { ledger, head } = found
    const { seedDelay, seedMargin } = ledger.settings
    const epoch = height + seedDelay
    const givenAt = epoch + seedMargin
    if (head < givenAt) {
      return { ready: false, delayMs: msUntil(ledger.pace, givenAt, this.#clock.now()) }
    }
    const seed = { Seed: valueAt(ledger, 'seed', epoch), Epoch: epoch }
    return { ready: true, delayMs: 0, seed }
  }

  /** Whether its number is taken there: its precommit, or its proof, is in a block. */
  async sectorOnChain(sector: SectorId): Promise<boolean> {
    const [preCommit, prove] = await Promise.all([
      this.#standing('preCommit', sector),
      this.#standing('prove', sector),
    ])
    return [preCommit, prove].some((found) =>
      ['Packed', 'Landed'].includes(found?.standing.state ?? ''),
    )
  }

  async view(): Promise<ChainView> {
    const ledger = await this.#ledger({ anew: true })
    const { settings, pace, forks, reorgs, scripted } = ledger
    const now = this.#clock.now()
    const batches = Object.values(ledger.batches).flatMap(({ openedAtMs, entries }) => {
      const [first] = entries
      if (!first) return []
      const flushesInMs = Math.max(0, openedAtMs + settings.batchWaitMs - now)
      const { kind, miner } = first
      return { kind, miner, waiting: entries.length, of: batchOf(settings, kind), flushesInMs }
    })
    const rates = RATED_FAULTS.map((fault) => [fault, rateOf(ledger, fault)] as const)
    return {
      height: this.#headOf(ledger),
      blockMs: pace.blockMs,
      confidence: settings.confidence,
      seedDelay: settings.seedDelay,
      seedMargin: settings.seedMargin,
      forks,
      reorgs: reorgs.slice(-REORGS_SHOWN).reverse(),
      batches,
      rates: Object.fromEntries(rates) as ChainView['rates'],
      scripted,
    }
  }

  /** Something that the next messages meet, those that wait for their batch among them. */
  async inject(request: FaultRequest, author: string): Promise<ChainView> {
    const { kind: fault, message: kind = null, count: left = 1 } = request
    const sector = request.sector === undefined ? null : sectorName(request.sector)
    return this.#order({ type: 'INJECT', fault, kind, sector, left }, author)
  }

  /** A fault of each message, or `reorg` of each block, by chance. */
  async injectRate(fault: RatedFault, rate: number, author: string): Promise<ChainView> {
    return this.#order({ type: 'RATE', fault, rate, atMs: this.#clock.now() }, author)
  }

  /** Ends what was injected: the rates are those of the configuration again. */
  async clearFaults(author: string): Promise<ChainView> {
    return this.#order({ type: 'CLEAR', atMs: this.#clock.now() }, author)
  }

  /** Takes back the newest blocks. Messages in them are in the next block again. */
  async reorg(depth: number, author: string): Promise<ChainView> {
    return this.#order({ type: 'REORG', depth, atMs: this.#clock.now() }, author)
  }

  async #order(event: EventObject, author: string): Promise<ChainView> {
    // There has to be one first.
    await this.#ledger()
    const answer = (await this.#client.as(author).ask(CHAIN, event)) as ChainAnswer | undefined
    if (answer && 'refused' in answer) throw new TroupeError(answer.refused, answer.message)
    return this.view()
  }

  async #standing(
    kind: MessageKind,
    sector: SectorId,
  ): Promise<{ standing: Standing; ledger: Ledger; head: number } | undefined> {
    const address = messageAddress(kind, sectorName(sector))
    const [view, ledger] = await Promise.all([
      this.#client.get(address).catch((thrown: unknown) => {
        if (hasCode(thrown, 'unknown-actor')) return undefined
        throw thrown
      }),
      this.#ledger(),
    ])
    if (!view) return undefined
    const head = this.#headOf(ledger)
    return { standing: standingOf(view.context as MessageContext, ledger, head), ledger, head }
  }

  #headOf({ height, pace }: Ledger): number {
    this.#highest = Math.max(this.#highest, height, heightAt(pace, this.#clock.now()))
    return this.#highest
  }

  #ledger({ anew } = { anew: false }): Promise<Ledger> {
    const atMs = this.#clock.monotonic()
    const freshMs = Math.min(FRESH_MS_MAX, this.#config.blockMs)
    const known = this.#read
    if (known && !anew && atMs - known.atMs < freshMs) return known.ledger
    const ledger = this.#fetch()
    const read = { atMs, ledger }
    this.#read = read
    ledger.catch(() => {
      if (this.#read === read) this.#read = undefined
    })
    return ledger
  }

  async #fetch(): Promise<Ledger> {
    const { seed: chainSeed = randomUUID(), ...settings } = this.#config
    const ledger = await this.#get().catch(async (thrown: unknown) => {
      if (!hasCode(thrown, 'unknown-actor')) throw thrown
      await this.#client.ensure(CHAIN, { chainSeed, settings, atMs: this.#clock.now() })
      this.#highest = 0
      return this.#get()
    })
    if (
      this.#isConfigured ||
      isDeepStrictEqual(ledger.settings, settings satisfies ChainSettings)
    ) {
      this.#isConfigured = true
      return ledger
    }
    await this.#client.send(CHAIN, { type: 'CONFIGURE', settings, atMs: this.#clock.now() })
    this.#isConfigured = true
    return this.#get()
  }

  async #get(): Promise<Ledger> {
    const { context } = await this.#client.get(CHAIN)
    return context as Ledger
  }
}

/** Base64, as Go writes bytes. */
function valueAt(ledger: Ledger, purpose: 'ticket' | 'seed', height: number, of = 0): string {
  const fork = forkOf(ledger.reorgs, height)
  return randomness(ledger.chainSeed, purpose, fork, height, of).toString('base64')
}

function hasCode(thrown: unknown, code: TroupeError['code']): boolean {
  return thrown instanceof TroupeError && thrown.code === code
}
