/**
 * The least that a system of this kind has to do on this machine, with the same packages and nothing of
 * Troupe's engine: a client packs the commands of a shard into one request; the owner unpacks, steps each
 * with the measured machine, packs what it became, writes that as one slot to JetStream on condition of the
 * slot before, and beside it into LMDB, flushed; then it answers all of them in one reply. Or a client that
 * knows no shards sends an event as JSON on the subject of its actor: the owner gathers what arrives for a
 * shard while its slot before is under way, and answers each by itself.
 *
 * Decides: what is left out, so that it is a bound and no rival: checks, schemas, ids and remembered
 * replies, history, index, counters, timers, events, rows to read from (the flushed record is all that
 * LMDB gets), take-over, retries. Leaves to others: the machine and the form of its record (bare-step.ts).
 */
import {
  connect,
  createInbox,
  headers,
  type Msg,
  type NatsConnection,
  RetentionPolicy,
  StorageType,
} from 'nats'
import { type EventObject, pack, shardOf, unpack } from '../../src/protocol/index.ts'
import { BareSteps } from '../bare-step.ts'
import { cpuOfThreads, type ThreadsCpu } from '../cpu-profile.ts'
import { order } from '../machines.ts'
import { closedLoop, type Load } from '../measure.ts'
import { type BareStore, openBare } from '../recorded.ts'
import { answerAsks } from './peers.ts'

const SHARDS = 64
const ACTORS = 10_000
const TIMEOUT_MS = 10_000
const OPTIONS = { noAsyncTraces: true }
const workOf = (shard: number | '*') => `bench.work.${shard}`
const JSON_ROOT = 'bench.json.'
const slotOf = (shard: number | '*', slot: number | '*') => `bench.slot.${shard}.${slot}`

/** Where a bare client sends an event of the actor with this number. */
export const referenceSubject = (n: number) => `${JSON_ROOT}order.${n % ACTORS}`

/** Of its process so far, as of a node. */
export interface ReferenceFigures extends ThreadsCpu {
  slots: number
}

export interface ReferenceParams {
  url: string
  directory: string
}

interface Command {
  address: string
  id: string
  op: 'send'
  event: { type: string; by: string }
}

/** The process of the owner. */
export async function clusterReference({ url, directory }: ReferenceParams): Promise<void> {
  const nats = await connect({ ...OPTIONS, servers: url })
  const manager = await nats.jetstreamManager()
  for (let shard = 0; shard < SHARDS; shard++) {
    await manager.streams.add({
      name: `bench_slots_${shard}`,
      subjects: [slotOf(shard, '*')],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
    })
  }
  const store = openBare(directory)
  const owner = new BareOwner(nats, store)
  nats.subscribe(workOf('*'), {
    callback: (_error, message) => {
      const shard = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1))
      owner.take(shard, message)
    },
  })
  nats.subscribe(`${JSON_ROOT}>`, { callback: (_error, message) => owner.takeJson(message) })
  await nats.flush()
  await answerAsks({
    figures: (): ReferenceFigures => ({ ...cpuOfThreads(), slots: owner.slots }),
  })
  await nats.close()
  await store.root.close()
}

/** One slot of a shard that is under way. */
interface Slot {
  shard: number
  answers: Answer[]
  record: Uint8Array
  key: Uint8Array
  /** The journal and the disk. */
  missing: number
}

interface Answer {
  message: Msg
  bytes: Uint8Array
}

class BareOwner {
  readonly #nats: NatsConnection
  readonly #store: BareStore
  readonly #steps = new BareSteps(order, ACTORS)
  readonly #inbox = `${createInbox()}.`
  readonly #slots = new Array<number>(SHARDS).fill(0)
  readonly #underWay = new Map<string, Slot>()
  /** Single requests, by shard. */
  readonly #waiting = Array.from({ length: SHARDS }, (): Msg[] => [])
  /** Shards that take up what waits when all of this turn of the event loop has arrived. */
  readonly #due = new Set<number>()
  /** For the next group. */
  #unflushed: Slot[] = []
  #isFlushing = false

  constructor(nats: NatsConnection, store: BareStore) {
    this.#nats = nats
    this.#store = store
    nats.subscribe(`${this.#inbox}*`, {
      callback: (_error, { subject, data }) => {
        const shard = subject.slice(this.#inbox.length)
        const { error } = JSON.parse(Buffer.from(data).toString()) as { error?: unknown }
        if (error !== undefined) throw new Error(`slot of shard ${shard}: ${JSON.stringify(error)}`)
        this.#arrived(this.#underWay.get(shard)!)
      },
    })
  }

  /** So far. */
  get slots(): number {
    return this.#slots.reduce((sum, slots) => sum + slots, 0)
  }

  /** The client sends one request per shard at a time. */
  take(shard: number, message: Msg): void {
    const turn = this.#slots[shard]! + 1
    const commands = unpack(message.data) as Command[]
    const rows = commands.map(({ address, event }) => this.#step(address, event))
    const outcomes = commands.map(({ address }) => ({ ok: { address, turn } }))
    this.#write(shard, rows, [{ message, bytes: pack(outcomes) }])
  }

  takeJson(message: Msg): void {
    const shard = shardOf(addressOf(message), SHARDS)
    this.#waiting[shard]!.push(message)
    if (!this.#underWay.has(String(shard))) this.#plan(shard)
  }

  #plan(shard: number): void {
    if (this.#due.size === 0) setImmediate(() => this.#takeDue())
    this.#due.add(shard)
  }

  #takeDue(): void {
    const due = [...this.#due]
    this.#due.clear()
    for (const shard of due) {
      const turn = this.#slots[shard]! + 1
      const messages = this.#waiting[shard]!.splice(0)
      const rows = messages.map((message) => {
        const event = JSON.parse(Buffer.from(message.data).toString()) as EventObject
        return this.#step(addressOf(message), event)
      })
      const answers = messages.map((message) => {
        const ok = { address: addressOf(message), turn, ...TURN }
        return { message, bytes: Buffer.from(JSON.stringify({ ok })) }
      })
      this.#write(shard, rows, answers)
    }
  }

  #step(address: string, event: EventObject): [string, Uint8Array] {
    const n = Number(address.slice(address.indexOf('/') + 1))
    return [address, this.#steps.step(n, event)]
  }

  #write(shard: number, rows: [string, Uint8Array][], answers: Answer[]): void {
    const slot = ++this.#slots[shard]!
    const record = Buffer.from(pack([slot, rows]))
    const key = Buffer.from(`${shard}/${slot}`)
    const entry = { shard, answers, record, key, missing: 2 }
    this.#underWay.set(String(shard), entry)
    this.#publish(shard, slot, record)
    this.#unflushed.push(entry)
    if (!this.#isFlushing) void this.#flush()
  }

  #publish(shard: number, slot: number, record: Uint8Array): void {
    const expected = headers()
    expected.set('Nats-Expected-Last-Subject-Sequence', '0')
    expected.set('Nats-Expected-Last-Sequence', String(slot - 1))
    const options = { reply: `${this.#inbox}${shard}`, headers: expected }
    this.#nats.publish(slotOf(shard, slot), record, options)
  }

  /** Group commit, as in the store: what comes meanwhile is the next group. */
  async #flush(): Promise<void> {
    this.#isFlushing = true
    // What arrives in the same turn is one group.
    await new Promise(setImmediate)
    while (this.#unflushed.length > 0) {
      const group = this.#unflushed
      this.#unflushed = []
      await this.#store.rows.batch(() => {
        for (const { key, record } of group) void this.#store.rows.put(key, record)
      })
      for (const entry of group) this.#arrived(entry)
    }
    this.#isFlushing = false
  }

  #arrived(entry: Slot): void {
    entry.missing -= 1
    if (entry.missing > 0) return
    const { shard, answers } = entry
    this.#underWay.delete(String(shard))
    for (const { message, bytes } of answers) message.respond(bytes)
    if (this.#waiting[shard]!.length > 0) this.#plan(shard)
  }
}

/** What Troupe's answer says besides: answers are of one size. */
const TURN = { status: 'active', value: 'placed', handled: true, durability: 'flushed+journaled' }

function addressOf({ subject }: Msg): string {
  return subject.slice(JSON_ROOT.length).replace('.', '/')
}

/** The side of the client: every shard has one request of so many commands under way. */
export class BareClient {
  readonly #nats: NatsConnection
  readonly #shards = Array.from({ length: SHARDS }, (_, shard) => shard)
  #next = 0

  private constructor(nats: NatsConnection) {
    this.#nats = nats
  }

  static async open(url: string): Promise<BareClient> {
    return new BareClient(await connect({ ...OPTIONS, servers: url }))
  }

  /** So far. */
  get sent(): number {
    return this.#next
  }

  /** Its figures are those of commands, not of requests. */
  async load(inFlight: number, durationMs: number): Promise<Load> {
    const each = inFlight / SHARDS
    const free = [...this.#shards]
    const load = await closedLoop(SHARDS, durationMs, async () => {
      const shard = free.pop()!
      await this.#ask(shard, each)
      free.push(shard)
    })
    return { ...load, perSecond: load.perSecond * each, usPerOp: load.usPerOp / each }
  }

  close(): Promise<void> {
    return this.#nats.close()
  }

  async #ask(shard: number, count: number): Promise<void> {
    const commands: Command[] = []
    for (let i = 0; i < count; i++) {
      const n = this.#next++
      const event = { type: 'NEXT', by: 'bench' }
      commands.push({ address: `order/${n % ACTORS}`, id: `1763760000000-${n}`, op: 'send', event })
    }
    const { data } = await this.#nats.request(workOf(shard), pack(commands), {
      timeout: TIMEOUT_MS,
    })
    const outcomes = unpack(data) as unknown[]
    if (outcomes.length !== count) throw new Error('an outcome is missing')
  }
}
