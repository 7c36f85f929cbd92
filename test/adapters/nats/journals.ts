/** Journals for tests: how one is opened, and asked by promises. */
import { NatsJournal } from '../../../src/adapters/nats/index.ts'
import type {
  JournalEndOutcome,
  JournalReadOutcome,
  JournalWriteOutcome,
} from '../../../src/ports/index.ts'
import { until } from '../../waiting.ts'
import { clock, connectorTo, LineLog } from './connections.ts'

export type End = Extract<JournalEndOutcome, { kind: 'known' }>

export interface JournalSetting {
  servers: string[]
  cluster: string
  replicas?: number
  timeoutMs?: number
  /** For how long JetStream may be silent on a line. */
  silenceMs?: number
}

/** One party of a cluster, and what its journal said in the log. */
export class JournalParty {
  readonly log = new LineLog()
  readonly journal: NatsJournal

  constructor(setting: JournalSetting) {
    const { servers, cluster, replicas = 1, timeoutMs = 2_000, silenceMs } = setting
    const connector = connectorTo({ servers, pingMs: 500 }, this.log, silenceMs)
    const open = (only?: readonly string[]) =>
      connector.open({ reconnect: false, ...(only && { servers: only }) })
    this.journal = new NatsJournal({
      ...{ cluster, replicas, servers, open, clock, log: this.log, timeoutMs },
    })
  }

  close(): Promise<void> {
    return this.journal.close()
  }

  write(
    shard: number,
    slot: number,
    afterSequence: number,
    record = `record of slot ${slot}`,
  ): Promise<JournalWriteOutcome> {
    const request = { shard, slot, record: Buffer.from(record), afterSequence }
    return new Promise((resolve) => this.journal.write(request, resolve))
  }

  read(shard: number, slot: number): Promise<JournalReadOutcome> {
    return new Promise((resolve) => this.journal.read(shard, slot, resolve))
  }

  tryEnd(shard: number): Promise<JournalEndOutcome> {
    return new Promise((resolve) => this.journal.end(shard, resolve))
  }

  remove(shard: number, slot: number): Promise<'removed' | 'unknown'> {
    return new Promise((resolve) => this.journal.remove(shard, slot, resolve))
  }

  /** Asked until it is known. */
  async end(shard: number): Promise<End> {
    let last: JournalEndOutcome | undefined
    const known = async () => {
      last = await this.tryEnd(shard)
      return last.kind === 'known' ? last : undefined
    }
    return until(known, { timeoutMs: 15_000 }, () => `the end of ${shard}: ${JSON.stringify(last)}`)
  }

  /** The next slot, by the rules of a writer: after what is unknown the end is read. */
  async append(shard: number, record?: string): Promise<{ slot: number; sequence: number }> {
    let last: JournalWriteOutcome | undefined
    const written = async () => {
      const { lastSlot, lastSequence } = await this.end(shard)
      last = await this.write(shard, lastSlot + 1, lastSequence, record)
      if (last.kind !== 'written') return undefined
      return { slot: lastSlot + 1, sequence: last.sequence }
    }
    return until(
      written,
      { timeoutMs: 40_000 },
      () => `a slot of ${shard}: ${JSON.stringify(last)}`,
    )
  }

  async fill(shard: number, count: number): Promise<End> {
    for (let slot = 1; slot <= count; slot++) await this.append(shard)
    return this.end(shard)
  }
}

/** What a record in the journal says; `empty` or `unknown` where there is none. */
export async function recordIn(party: JournalParty, shard: number, slot: number): Promise<string> {
  const outcome = await party.read(shard, slot)
  return outcome.kind === 'found' ? Buffer.from(outcome.record).toString() : outcome.kind
}

/** All of them write each next slot at once; returns who won each, and who is seen to have. */
export async function race(
  parties: readonly JournalParty[],
  shard: number,
  rounds: number,
): Promise<{ winners: string[]; seen: string[] }> {
  const [winners, seen]: [string[], string[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    const [end] = await Promise.all(parties.map((party) => party.end(shard)))
    const { lastSlot, lastSequence } = end!
    const outcomes = await Promise.all(
      parties.map((party, at) => party.write(shard, lastSlot + 1, lastSequence, `by ${at}`)),
    )
    winners.push(
      outcomes.flatMap(({ kind }, at) => (kind === 'written' ? [`by ${at}`] : [])).join(),
    )
    seen.push(await recordIn(parties[0]!, shard, lastSlot + 1))
  }
  return { winners, seen }
}

/** Writes on until something else than `written` comes back. */
export async function writeUntilItFails(
  party: JournalParty,
  shard: number,
  acknowledged: (slot: number) => void,
): Promise<void> {
  let { lastSlot: slot, lastSequence: sequence } = await party.end(shard)
  for (;;) {
    const outcome = await party.write(shard, slot + 1, sequence)
    if (outcome.kind !== 'written') return
    slot += 1
    sequence = outcome.sequence
    acknowledged(slot)
  }
}
