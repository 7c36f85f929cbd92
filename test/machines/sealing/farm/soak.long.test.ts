/**
 * Many sectors through a farm in which everything goes wrong: children that fail, hang and die, a worker
 * and nodes that are killed, a manager that is away, a chain that loses messages and takes blocks back. An
 * operator resumes what parks. TROUPE_SOAK_SECTORS: how many sectors for each of the 12 threads; 20 unless
 * given (200 take a quarter of an hour).
 */
import { afterEach, describe, expect, inject, it } from 'vitest'
import type { ShownThread } from '../../../../machines/sealing/daemon/index.ts'
import { missingNatsServer, startNatsServer } from '../../../nats-server.ts'
import { until } from '../../../waiting.ts'
import { Farm } from './farm.ts'
import { judge, sectorsOf } from './judge.ts'

const THREADS = 12
const SECTORS = THREADS * Number(process.env['TROUPE_SOAK_SECTORS'] ?? 20)
const LIMIT_MS = 60_000 + SECTORS * 2_000
const FAULT_EVERY_MS = 15_000
const OUTAGE_MS = 4_000
const RATES = { fail: 0.02, hang: 0.004, die: 0.004 }
const CHAIN_FAULTS = {
  fail: 0.02,
  notFound: 0.005,
  permFail: 0.002,
  shouldAbort: 0.003,
  reorg: 0.0005,
}
/** Where a message has to be sent again, and what is sent again from there. */
const SENT_FROM: Readonly<Record<string, string>> = {
  PCSubmitted: 'PC2Done',
  ProofSubmitted: 'C2Done',
}

let cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const clean of cleanups.reverse()) await clean()
  cleanups = []
})

/** Resumes what parks, as a person would. */
class Operator {
  readonly resumes = new Map<string, number>()
  readonly #farm: Farm

  constructor(farm: Farm) {
    this.#farm = farm
  }

  async lookAround(): Promise<void> {
    const threads = await this.#farm.threads().catch(() => [])
    for (const thread of threads) {
      if (thread.condition === 'parked') await this.#resume(thread).catch(() => {})
    }
  }

  async #resume({ index, sector, state, lastError }: ShownThread): Promise<void> {
    // What the error itself advises.
    const [, advised] = /resume at (\w+)/.exec(lastError?.message ?? '') ?? []
    const from = advised ?? SENT_FROM[state]
    const request = { action: 'resume', index, by: 'soak', ...(from ? { state: from } : {}) }
    const answer = await this.#farm.rpc<object>('WorkerControl', [request])
    if ('ok' in answer && sector !== null)
      this.resumes.set(sector, (this.resumes.get(sector) ?? 0) + 1)
  }
}

/** One kind after the other; what is killed comes back. */
class Saboteur {
  workerKills = 0
  readonly #farm: Farm
  #turn = 0
  #nextMs = Date.now() + FAULT_EVERY_MS

  constructor(farm: Farm) {
    this.#farm = farm
  }

  async maybe(): Promise<void> {
    if (Date.now() < this.#nextMs) return
    const kinds = [this.#killWorker, this.#killNode, this.#reorg, this.#manager]
    await kinds[this.#turn++ % kinds.length]?.call(this)
    this.#nextMs = Date.now() + FAULT_EVERY_MS
  }

  async #killWorker(): Promise<void> {
    this.workerKills += 1
    await this.#farm.worker.end('SIGKILL')
    this.#farm.worker.start()
  }

  async #killNode(): Promise<void> {
    await this.#farm.killNode(1)
    this.#farm.startNode(1)
  }

  async #manager(): Promise<void> {
    await this.#farm.killNode(0)
    const back = Date.now() + OUTAGE_MS
    await until(() => Date.now() > back, { timeoutMs: 2 * OUTAGE_MS, every: 100 }, 'an outage')
    this.#farm.startNode(0)
  }

  async #reorg(): Promise<void> {
    const body = JSON.stringify({ depth: 5 })
    const headers = { 'content-type': 'application/json' }
    await this.#farm.ask('/sealing/chain/reorg', { method: 'POST', body, headers }).catch(() => {})
  }
}

describe.skipIf(missingNatsServer)('with a nats-server', () => {
  it(
    `${SECTORS} sectors end well, whatever is killed`,
    async () => {
      const nats = await startNatsServer()
      cleanups.push(() => nats.stop())
      const farm = await Farm.create({
        ...{ threads: THREADS, nodes: 2, nats: nats.url, rates: RATES, seed: inject('seed') },
        chain: { faults: CHAIN_FAULTS },
      })
      cleanups.push(() => farm.close())
      await farm.start()
      const operator = new Operator(farm)
      const saboteur = new Saboteur(farm)
      const ended = async () => {
        const all = await sectorsOf(farm).catch(() => [])
        return all.filter(({ standing }) => standing !== 'online').length
      }
      const patience = { timeoutMs: LIMIT_MS, every: 1_000 }
      const wait = (isDone: () => Promise<boolean>, what: string) =>
        until(
          isDone,
          patience,
          () => `${what}; the worker wrote ${farm.worker.output.slice(-3_000)}`,
        )
      await wait(async () => {
        await operator.lookAround()
        await saboteur.maybe()
        return (await ended()) >= SECTORS
      }, 'the sectors end')
      await farm.nodeServes(0)
      await farm.workerServes()
      await farm.rpc('WorkerDrain', [{ by: 'the soak' }])
      let isGone = false
      void farm.worker.ended.then(() => {
        isGone = true
      })
      await wait(async () => {
        await operator.lookAround()
        return isGone
      }, 'the worker is drained')
      const { resumes } = operator
      const faults = { workerKills: saboteur.workerKills, resumes }
      const judged = await judge(farm, faults, await sectorsOf(farm))
      const { wrong, finished, aborted, repeats } = judged
      process.stdout.write(
        `${finished} finished, ${aborted} aborted, ${repeats} runs again, ${saboteur.workerKills} kills of the worker, ${resumes.size} sectors resumed\n`,
      )
      expect(wrong).toEqual([])
      expect(finished + aborted).toBeGreaterThanOrEqual(SECTORS)
    },
    LIMIT_MS * 3,
  )
})
