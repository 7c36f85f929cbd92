/**
 * Notes that never cease, one writer per actor: what was acknowledged has to be there in the end, once
 * and in order, whatever happened meanwhile.
 */
import { expect } from 'vitest'
import { hashBytes } from '../../src/protocol/index.ts'
import { GENESIS_HASH } from '../../src/shard/slot-records.ts'
import { decodeRecord } from '../shard/slot-record.ts'
import type { Cluster } from './nodes.ts'

const NOTE_MS = 150

export class Load {
  readonly addresses: string[]
  readonly failures: string[] = []
  readonly #cluster: Cluster
  readonly #acknowledged = new Map<string, string[]>()
  #isOn = true
  #running: Promise<unknown> = Promise.resolve()

  private constructor(cluster: Cluster) {
    this.#cluster = cluster
    const shards = Array.from({ length: cluster.shardCount }, (_, shard) => shard)
    this.addresses = shards.map((shard) => cluster.on(shard))
  }

  static async on(cluster: Cluster, timeoutMs = 30_000): Promise<Load> {
    const load = new Load(cluster)
    for (const address of load.addresses) {
      expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
    }
    load.#running = Promise.all(load.addresses.map((address) => load.#write(address, timeoutMs)))
    return load
  }

  async #write(address: string, timeoutMs: number): Promise<void> {
    const acknowledged: string[] = []
    this.#acknowledged.set(address, acknowledged)
    for (let n = 0; this.#isOn; n++) {
      try {
        await this.#cluster.note(address, String(n), timeoutMs)
        acknowledged.push(String(n))
      } catch (thrown) {
        this.failures.push(`${address}: ${(thrown as { code?: string }).code ?? String(thrown)}`)
      }
      await new Promise<void>((resolve) => void this.#cluster.clock.after(NOTE_MS, resolve))
    }
  }

  get count(): number {
    return [...this.#acknowledged.values()].reduce((sum, some) => sum + some.length, 0)
  }

  /** Stops writing and judges: actors, journals, and that nothing runs twice. */
  async judge(): Promise<void> {
    this.#isOn = false
    await this.#cluster.run(this.#running)
    expect(this.count).toBeGreaterThan(this.addresses.length)
    for (const address of this.addresses) {
      const seen = await this.#cluster.seen(address)
      expect(new Set(seen).size, 'each once').toBe(seen.length)
      expect(seen, 'in order').toEqual([...seen].sort((a, b) => Number(a) - Number(b)))
      const there = new Set(seen)
      const lost = this.#acknowledged.get(address)!.filter((text) => !there.has(text))
      expect(lost, `acknowledged and lost at ${address}`).toEqual([])
    }
    judgeJournals(this.#cluster)
  }
}

/** Slots 1, 2, 3, … in a chain; only the owner that claimed last writes; claims follow the views. */
export function judgeJournals(cluster: Cluster): void {
  for (let shard = 0; shard < cluster.shardCount; shard++) {
    let prev = GENESIS_HASH
    let claimId = ''
    let isReleased = true
    let by = 0
    let owner = ''
    cluster.server.slots(shard).forEach(({ slot, record }, index) => {
      expect(slot).toBe(index + 1)
      const decoded = decodeRecord(record)
      expect(decoded.prev, `slot ${slot} of shard ${shard}`).toBe(prev)
      prev = hashBytes(record)
      if (decoded.kind === 'claim') {
        const isAgain = decoded.node === owner
        if (!isAgain && isReleased) expect(decoded.viewVersion).toBeGreaterThanOrEqual(by)
        if (!isAgain && !isReleased) expect(decoded.viewVersion).toBeGreaterThan(by)
        by = decoded.viewVersion
        owner = decoded.node
        claimId = decoded.claimId
        isReleased = false
      } else {
        expect(decoded.epoch.claimId, `slot ${slot} of shard ${shard}`).toBe(claimId)
        expect(isReleased, 'nothing follows a release but a claim').toBe(false)
        isReleased = decoded.kind === 'release'
      }
    })
  }
}
