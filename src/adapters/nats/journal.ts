/**
 * The journal over JetStream: one stream per shard, and nothing but slots in it.
 *
 * Decides: a slot is written on two conditions (no message of its subject, and the stream ends where the
 * writer looked); what is certain is told, everything else is `unknown`. A shard is written only on the
 * line on which its end was read: the first write of each shard on a new line is `unknown`, so that its
 * owner reads the end first. A stream is created only to write a first slot after an end that said
 * that there is none; that write is `unknown` too, so that whoever decided to begin looks again at what it began.
 *
 * Which copy of a stream it is (`serverId`): with one replica the stream and the present life of the
 * server that holds it, since JetStream acknowledges before it syncs, so that any start may follow a
 * loss. With more the stream alone: what one server forgets the others still have; a new leader or one
 * server's start means no loss, and would only make shards wait for every member. A majority that
 * loses its unsynced ends at once is not seen here, but by stores that remember more than there is.
 * Leaves to others: what a writer concludes (shard/), connections (lines.ts).
 */
import { DiscardPolicy, RetentionPolicy, StorageType, type StreamInfo } from 'nats'
import type {
  Clock,
  Journal,
  JournalEndOutcome,
  JournalReadOutcome,
  JournalWrite,
  JournalWriteOutcome,
  Log,
} from '../../ports/index.ts'
import { messageOfThrown } from '../../protocol/index.ts'
import { HEADER_BYTES_MAX, publish, readInfo, readMessage } from './api.ts'
import { type Line, Lines, type OpenLine } from './lines.ts'
import { type JetStreamNames, jetStreamNames } from './names.ts'
import { type FedSlot, SlotFeed } from './slot-feed.ts'
import {
  isMarked,
  type Mark,
  type Marks,
  markOf,
  marksOf,
  StrangeMessageError,
} from './slot-marks.ts'
import {
  checkStream,
  createStream,
  mayBeSucceeded,
  removalOf,
  removeUpTo,
  type StreamShape,
} from './streams.ts'

export interface NatsJournalOptions {
  cluster: string
  /** Of each stream: 1, or 3 in a NATS cluster. */
  replicas: number
  open: OpenLine
  /** Servers by the names that we know them by; they tell each other's addresses as well. */
  servers: readonly string[]
  clock: Clock
  log: Log
  /** After this long without an answer an outcome is unknown; it may still happen. */
  timeoutMs?: number
}

/** Longer than a stream takes to elect a leader; what is unknown is asked again anyway. */
const TIMEOUT_MS = 5_000

interface Shard {
  stream: string
  slotSubject: (slot: number) => string
  shape: StreamShape
  /** The server with the only replica; undefined when any server will do. */
  holder: string | undefined
  /** Where its end was read last, and what stood there. */
  line: Line | undefined
  isMissing: boolean
  /**
   * Of which copy, and read on which line, the marks and the feed are: on another one the same sequence may
   * hold another slot, since they part where something was removed.
   */
  copy: string
  markedOn: Line | undefined
  first: Mark | undefined
  last: Mark | undefined
  /** The newest slot that was read as the last one there was. */
  followedTo: number
  feed: SlotFeed | undefined
  /** What is wrong with the stream is said once. */
  complaint: string
}

type KnownEnd = Extract<JournalEndOutcome, { kind: 'known' }>

export class NatsJournal implements Journal {
  readonly #options: NatsJournalOptions
  readonly #timeoutMs: number
  readonly #names: JetStreamNames
  readonly #lines: Lines
  readonly #shards = new Map<number, Shard>()

  constructor(options: NatsJournalOptions) {
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#names = jetStreamNames(options.cluster)
    this.#lines = new Lines(options)
  }

  /** What is under way stays unknown. */
  close(): Promise<void> {
    for (const { feed } of this.#shards.values()) feed?.end()
    return this.#lines.close()
  }

  write(request: JournalWrite, done: (outcome: JournalWriteOutcome) => void): void {
    settle(this.#write(request), done)
  }

  read(shard: number, slot: number, done: (outcome: JournalReadOutcome) => void): void {
    settle(this.#read(this.#shard(shard), slot), done)
  }

  end(shard: number, done: (outcome: JournalEndOutcome) => void): void {
    settle(this.#end(this.#shard(shard)), done)
  }

  remove(shard: number, slot: number, done: (outcome: 'removed' | 'unknown') => void): void {
    this.#remove(this.#shard(shard), slot).then(done, (thrown: unknown) => {
      const why = messageOfThrown(thrown)
      this.#options.log.debug({ shard, slot, why }, 'slots could not be removed')
      done('unknown')
    })
  }

  async #write(request: JournalWrite): Promise<JournalWriteOutcome> {
    const shard = this.#shard(request.shard)
    const { slot, record, afterSequence } = request
    const line = this.#lineOf(shard)
    if (shard.line !== line) throw new Error('a new connection: the end is read first')
    if (shard.isMissing) return this.#begin(shard, line, request)
    const bytesMax = line.connection.payloadBytesMax - HEADER_BYTES_MAX
    if (record.length > bytesMax) {
      const why = `${record.length} bytes: ${line.server} takes ${bytesMax} (max_payload)`
      throw this.#complaint(shard, new Error(why))
    }
    const outcome = await publish(line.connection, {
      stream: shard.stream,
      subject: shard.slotSubject(slot),
      bytes: record,
      afterOfSubject: 0,
      after: afterSequence,
      mark: markOf(slot),
      timeoutMs: this.#timeoutMs,
    })
    if (outcome.kind !== 'stored') return outcome
    // An owner follows nobody.
    shard.feed?.end()
    shard.followedTo = 0
    const { sequence } = outcome
    if (shard.markedOn === line) shard.last = { sequence, slot, upTo: sequence }
    return { kind: 'written', sequence }
  }

  /** The end said that there is no stream: somebody concluded that the shard is new, or writes it again. */
  async #begin(
    shard: Shard,
    line: Line,
    { afterSequence }: JournalWrite,
  ): Promise<JournalWriteOutcome> {
    if (afterSequence !== 0) throw new Error('the stream does not exist')
    try {
      await createStream(line.connection, shard.shape, this.#timeoutMs)
    } catch (thrown) {
      throw this.#complaint(shard, thrown)
    }
    this.#options.log.info({ stream: shard.stream }, 'the stream of a shard is created')
    shard.line = undefined
    return { kind: 'unknown', why: 'the stream was created: its end is read first' }
  }

  async #read(shard: Shard, slot: number): Promise<JournalReadOutcome> {
    const found = await this.#slot(shard, this.#lineOf(shard), slot)
    if (!found) return { kind: 'empty' }
    return { kind: 'found', record: found.bytes, sequence: found.sequence }
  }

  async #slot(shard: Shard, line: Line, slot: number): Promise<FedSlot | undefined> {
    const { connection } = line
    const fed = feedOn(shard, line)?.take(slot)
    this.#follow(shard, line, slot)
    if (fed) return fed
    const subject = shard.slotSubject(slot)
    const read = async (query: Parameters<typeof readMessage>[2]) => {
      const found = await readMessage(connection, shard.stream, query, this.#timeoutMs)
      return { found, isSlot: found !== undefined && isMarked(slot, found.headers) }
    }
    const newest = await read({ last_by_subj: subject })
    if (newest.isSlot) return newest.found
    if (!newest.found && !isWithin(shard, slot)) return undefined
    // A slot is the first of its subject. What came behind it is no slot: whoever reads the end removes it,
    // and servers from before 2025 may then say that the subject has no newest message.
    const first = await read({ seq: 1, next_by_subj: subject })
    return first.isSlot ? first.found : undefined
  }

  /** Who reads up to the end once more has followed it there: what comes next is sent without being asked for. */
  #follow(shard: Shard, line: Line, slot: number): void {
    const { last, followedTo } = shard
    if (slot !== last?.slot || shard.line !== line) return
    shard.followedTo = slot
    if (followedTo === 0 || followedTo >= slot || feedOn(shard, line)) return
    const { clock } = this.#options
    const { stream } = shard
    const slotOf = (subject: string) => slotIn(shard, subject)
    const deps = { connection: line.connection, stream, slotOf, clock, timeoutMs: this.#timeoutMs }
    shard.feed = new SlotFeed(deps, last.sequence + 1)
  }

  async #end(shard: Shard): Promise<JournalEndOutcome> {
    const { line, info } = await this.#look(shard)
    const end = info ? await this.#knownEnd(shard, line, info) : emptyEnd(`none/${line.serverId}`)
    shard.isMissing = info === undefined
    shard.line = line
    shard.complaint = ''
    return end
  }

  /** The state of the stream, asked of the server with the only replica if there is just one. */
  async #look(shard: Shard): Promise<{ line: Line; info: StreamInfo | undefined }> {
    const held = shard.holder === undefined ? undefined : this.#lines.to(shard.holder)
    const line = held ?? this.#anyLine()
    const info = await readInfo(line.connection, shard.stream, this.#timeoutMs)
    if (!info) {
      shard.holder = undefined
      return { line, info }
    }
    try {
      checkStream(shard.shape, info)
    } catch (thrown) {
      throw this.#complaint(shard, thrown)
    }
    if (mayBeSucceeded(info)) throw new Error('the leader of the stream may be cut off')
    shard.holder = holderOf(info)
    if (shard.holder === undefined || shard.holder === line.server) return { line, info }
    throw new Error(`${shard.holder} holds the stream: it is asked there`)
  }

  async #knownEnd(shard: Shard, line: Line, info: StreamInfo): Promise<KnownEnd> {
    const { messages, last_seq } = info.state
    const copy = copyOf(line, info)
    if (copy !== shard.copy || line !== shard.markedOn) forget(shard, copy, line)
    const end = emptyEnd(copy, last_seq)
    if (messages === 0) return end
    const { connection } = line
    const slotOf = (subject: string) => slotIn(shard, subject)
    const { log } = this.#options
    const slots = { connection, stream: shard.stream, slotOf, log, timeoutMs: this.#timeoutMs }
    const newest = feedOn(shard, line)?.markAt(last_seq) ?? shard.last
    let marks: Marks
    try {
      const seen = { ...(shard.first && { first: shard.first }), ...(newest && { last: newest }) }
      marks = await marksOf(slots, info.state, seen)
    } catch (thrown) {
      throw thrown instanceof StrangeMessageError ? this.#complaint(shard, thrown) : thrown
    }
    // Another look may have met another copy in the meantime.
    if (shard.copy === copy && shard.markedOn === line) Object.assign(shard, marks)
    return { ...end, firstSlot: marks.first.slot, lastSlot: marks.last.slot }
  }

  /** The end is not confirmed by this: the owner itself has to ask for it on a new line. */
  async #remove(shard: Shard, slot: number): Promise<'removed'> {
    const { line, info } = await this.#look(shard)
    if (!info) return 'removed'
    const end = await this.#knownEnd(shard, line, info)
    if (slot < end.firstSlot || end.lastSlot === 0) return 'removed'
    const last = slot < end.lastSlot ? await this.#slot(shard, line, slot) : undefined
    if (slot < end.lastSlot && !last) throw new Error(`slot ${slot} is not there`)
    const sequence = last?.sequence ?? end.lastSequence
    const removal = removalOf(line.version, info.config.num_replicas)
    const request = { sequence, removal, timeoutMs: this.#timeoutMs }
    await removeUpTo(line.connection, shard.stream, request)
    return 'removed'
  }

  /** The line on which the shard is written. */
  #lineOf({ holder }: Shard): Line {
    if (holder === undefined) return this.#anyLine()
    const line = this.#lines.to(holder)
    if (!line) throw new Error(`not connected to ${holder}`)
    return line
  }

  #anyLine(): Line {
    const line = this.#lines.any()
    if (!line) throw new Error('not connected to NATS')
    return line
  }

  /** Said once, as the same is asked again and again. */
  #complaint(shard: Shard, thrown: unknown): unknown {
    const why = messageOfThrown(thrown)
    if (shard.complaint !== why) {
      this.#options.log.error(
        { stream: shard.stream, why },
        'the journal of a shard cannot be used',
      )
    }
    shard.complaint = why
    return thrown
  }

  #shard(number: number): Shard {
    let shard = this.#shards.get(number)
    if (!shard) {
      const { stream, slots, slot } = this.#names.journal(number)
      const shape = shapeOf({ stream, slots, replicas: this.#options.replicas })
      shard = {
        ...{ stream, shape, slotSubject: slot, holder: undefined, line: undefined },
        ...{ isMissing: false, complaint: '', copy: '', markedOn: undefined },
        ...{ first: undefined, last: undefined, followedTo: 0, feed: undefined },
      }
      this.#shards.set(number, shard)
    }
    return shard
  }
}

/** What was read before says nothing of this copy, or of this life of the server. */
function forget(shard: Shard, copy: string, line: Line): void {
  shard.feed?.end()
  const nothing = { first: undefined, last: undefined, followedTo: 0, feed: undefined }
  Object.assign(shard, { copy, markedOn: line, ...nothing })
}

/** Whether the slot stands between the first and the last one that were read. */
function isWithin({ first, last }: Shard, slot: number): boolean {
  return first !== undefined && last !== undefined && first.slot <= slot && slot <= last.slot
}

/** What was sent over another line may be of another life of the server. */
function feedOn({ feed }: Shard, line: Line): SlotFeed | undefined {
  if (feed === undefined || feed.isOver) return undefined
  if (feed.connection === line.connection) return feed
  feed.end()
  return undefined
}

/** The slot that a subject is of; 0 when it is of none. */
function slotIn({ slotSubject }: Shard, subject: string): number {
  const slot = Number(subject.slice(subject.lastIndexOf('.') + 1))
  return Number.isSafeInteger(slot) && slot > 0 && slotSubject(slot) === subject ? slot : 0
}

/** No limit but the disk: what a limit would remove, some node may need. */
function shapeOf(of: { stream: string; slots: string; replicas: number }): StreamShape {
  return {
    name: of.stream,
    subjects: [of.slots],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    num_replicas: of.replicas,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: -1,
    max_msg_size: -1,
    sealed: false,
    deny_delete: false,
    deny_purge: false,
    allow_rollup_hdrs: false,
  }
}

/** The server with the only replica; undefined when several have one, or there is but one server. */
function holderOf({ config, cluster }: StreamInfo): string | undefined {
  if (!cluster) return undefined
  if (!cluster.leader) throw new Error('the stream has no leader')
  return config.num_replicas === 1 ? cluster.leader : undefined
}

/** Which copy of the stream it is: see above. */
function copyOf(line: Line, { created, config }: StreamInfo): string {
  return config.num_replicas === 1 ? `${created}/${line.serverId}` : created
}

function emptyEnd(serverId: string, lastSequence = 0): KnownEnd {
  return { kind: 'known', firstSlot: 0, lastSlot: 0, lastSequence, serverId }
}

/** Whatever went wrong, it may have happened. */
function settle<T>(
  outcome: Promise<T>,
  done: (outcome: NoInfer<T> | { kind: 'unknown'; why: string }) => void,
): void {
  outcome.then(done, (thrown: unknown) => done({ kind: 'unknown', why: messageOfThrown(thrown) }))
}
