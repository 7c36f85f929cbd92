/**
 * The threads of one worker, wherever they live. Decides: that each has the actor `<worker>~<name>` and is
 * told what the configuration says, which number each is called by, and that one which is no longer
 * configured finishes its sector and takes nothing new, before another one has its store. Leaves to others:
 * everything that a thread does.
 */
import {
  type ActorRow,
  type ActorView,
  type Client,
  type Clock,
  type EventObject,
  formatAddress,
  type Log,
  TroupeError,
} from '../../../src/index.ts'
import {
  type Condition,
  type Placing,
  rowOf,
  sealingThread,
  type ThreadRow,
  type ThreadView,
  threadIdOf,
  viewOf,
} from '../thread/index.ts'
import type { ThreadConfig, WorkerConfig } from './config.ts'
import type { HotConfig } from './hot-config.ts'
import { RpcRefusal } from './json-rpc.ts'
import { type SectorStory, storyOf } from './sector-story.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  controlAnswer,
  INVALID_PARAMS,
} from './worker-api.ts'

export interface ThreadDeskDeps {
  client: Client
  worker: string
  config: WorkerConfig
  hot: HotConfig
  placing: Placing
  clock: Clock
  log: Log
}

/** A thread under the number that callers of the interface use. */
export interface NumberedThread {
  index: number
  /** False: it is gone from the configuration, and ends with its sector. */
  isConfigured: boolean
  view: ThreadView
}

/** Views are read at a time; a worker has some hundred. */
const READS_AT_ONCE = 32
const PAGE_COUNT = 1_000
/** Of a thread that takes nothing new any more: it has nothing to do, or waits for a person. */
const RESTING: readonly Condition[] = ['drained', 'paused', 'parked']

export class ThreadDesk {
  readonly #deps: ThreadDeskDeps
  /** Not configured any more; what they have of stores is theirs until they have ended. */
  #former: readonly string[] = []

  constructor(deps: ThreadDeskDeps) {
    this.#deps = deps
  }

  /**
   * Brings one thread to what is configured, whether it is new or has lived through restarts. Behind `retire`.
   * @throws TroupeError `conflict` while its store is another one's, which had it under another name
   */
  async bring(thread: ThreadConfig, takesNew: boolean): Promise<void> {
    const { client, worker, hot, placing } = this.#deps
    if (thread.location !== null) await this.#checkFree(thread.location)
    const { index, location } = thread
    const told = { ...hot.effective(thread), ...placing, index, location }
    const id = this.#idOf(thread.name)
    const address = addressOf(id)
    const input = { ...told, worker, thread: id, takesNew }
    try {
      await client.start(address, input)
      return
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || thrown.code !== 'already-exists') throw thrown
    }
    await client.send(address, { type: 'CONFIGURE', ...told })
    await client.send(address, takesNew ? this.#word('UNDRAIN') : this.#word('DRAIN'))
  }

  /** What a store's own file says anew; from the next sector on. */
  async configure(thread: ThreadConfig): Promise<void> {
    const { client, hot, log } = this.#deps
    const event = { type: 'CONFIGURE', ...hot.effective(thread) }
    await client.send(addressOf(this.#idOf(thread.name)), event)
    log.info({ thread: thread.name }, 'a thread has new settings, for its next sector')
  }

  /** What it rests for may have come. */
  async wake({ name, location }: ThreadConfig): Promise<void> {
    const event = { type: 'WAKE', why: `${location} is there` }
    await this.#deps.client.send(addressOf(this.#idOf(name)), event)
  }

  /** Those that this worker had, and that its configuration names no more. */
  async retire(): Promise<string[]> {
    const { client, log, config, worker } = this.#deps
    const configured = this.#configured()
    // Of a cluster others are on other machines; in a node of our own they are of a name that we had.
    const rows = await this.#found(config.cluster === null ? undefined : { worker })
    const former = rows.filter(({ address }) => !configured.has(address))
    this.#former = former.map(({ address }) => address)
    const left = former.filter((row) => rowOf(row).worker === worker).map(({ address }) => address)
    for (const address of left) {
      await client.send(address, this.#word('DRAIN'))
      log.warn({ address }, 'a thread is not configured any more: it ends with its sector')
    }
    return left
  }

  /** In the order of the configuration; what is not in it any more comes behind. */
  async list(): Promise<NumberedThread[]> {
    const addresses = await this.#addresses()
    const views = new Map<string, ThreadView>()
    for (let at = 0; at < addresses.length; at += READS_AT_ONCE) {
      const some = addresses.slice(at, at + READS_AT_ONCE)
      for (const view of await Promise.all(some.map((address) => this.#read(address)))) {
        if (view !== undefined) views.set(view.address, viewOf(view))
      }
    }
    const configured = [...this.#configured()]
    const left = addresses.filter((address) => !configured.includes(address)).sort()
    return [...configured, ...left].flatMap((address, index) => {
      const view = views.get(address)
      return view === undefined ? [] : [{ index, isConfigured: index < configured.length, view }]
    })
  }

  /** @throws RpcRefusal for a number that no thread has */
  async control(request: ControlRequest): Promise<ControlAnswer> {
    const { client } = this.#deps
    const address = await this.#addressAt(request.index)
    return answerOf(await client.ask(address, this.#eventOf(request)))
  }

  /** What became of a sector, as far as it is known where the threads live. */
  story(sector: string): Promise<SectorStory | null> {
    return storyOf(this.#deps.client, sector)
  }

  /** Every thread takes nothing new, or does again. */
  async drain(by: string, isUndone: boolean): Promise<void> {
    const { client } = this.#deps
    const event = this.#word(isUndone ? 'UNDRAIN' : 'DRAIN', by)
    for (const address of this.#configured()) {
      // One that could not be brought yet is told when it is.
      await unlessUnknown(client.send(address, event))
    }
  }

  /** The first step of a new thread puts aside what it finds in its store. */
  async #checkFree(location: string): Promise<void> {
    for (const address of this.#former) {
      const view = await this.#read(address)
      if (view === undefined) continue
      const { worker, location: itsOwn, thread, sector, state, condition } = viewOf(view)
      // Steps of a worker under another name are not taken here.
      const isStill = RESTING.includes(condition) || worker !== this.#deps.worker
      if (itsOwn !== location || (sector === null && isStill)) continue
      const what = `${sector ?? 'no sector'}, ${state}, ${condition}`
      const why = `${location} is still the store of ${thread} (${what}), which is not configured any more: wait until that has ended, or give worker and thread the names that they had`
      throw new TroupeError('conflict', why)
    }
  }

  #eventOf(request: ControlRequest): EventObject {
    const at = this.#deps.clock.now()
    const { action, index: _index, ...rest } = request
    const given = Object.entries(rest).filter(([, value]) => value !== undefined)
    return { type: action === 'pause' ? 'PAUSE' : 'RESUME', ...Object.fromEntries(given), at }
  }

  #word(type: string, by?: string): EventObject {
    const { worker } = this.#deps
    return { type, by: by ?? `worker ${worker}` }
  }

  async #addressAt(index: number): Promise<string> {
    const configured = [...this.#configured()]
    const known = configured[index] ?? (await this.list()).find((one) => one.index === index)
    if (known === undefined) throw new RpcRefusal(INVALID_PARAMS, `worker #${index} not found`)
    return typeof known === 'string' ? known : addressOf(known.view.thread)
  }

  /** All that lists have of them, at the price of one question. */
  async rows(): Promise<ThreadRow[]> {
    return (await this.#ownRows()).map(rowOf)
  }

  async #addresses(): Promise<string[]> {
    return (await this.#ownRows()).map(({ address }) => address)
  }

  #ownRows(): Promise<ActorRow[]> {
    return this.#found({ worker: this.#deps.worker })
  }

  async #found(where?: { worker: string }): Promise<ActorRow[]> {
    const { client } = this.#deps
    const filter = { machine: sealingThread.name, ...(where === undefined ? {} : { where }) }
    const found: ActorRow[] = []
    for await (const row of client.rows({ filter, limit: PAGE_COUNT })) found.push(row)
    return found
  }

  #read(address: string): Promise<ActorView | undefined> {
    return unlessUnknown(this.#deps.client.get(address))
  }

  #configured(): Set<string> {
    return new Set(this.#deps.config.threads.map(({ name }) => addressOf(this.#idOf(name))))
  }

  #idOf(name: string): string {
    return threadIdOf(this.#deps.worker, name)
  }
}

/** An actor that the platform holds keeps what it is sent, and answers nothing yet. */
export function answerOf(reply: unknown): ControlAnswer {
  if (reply !== undefined && reply !== null) return controlAnswer.parse(reply)
  const message = 'the platform holds this thread, which takes this up once it is let go'
  return { refused: 'held', message: `${message}: troupe actors resume` }
}

/** Undefined where there is no such actor. */
async function unlessUnknown<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return undefined
    throw thrown
  }
}

function addressOf(id: string): string {
  return formatAddress(sealingThread.name, id)
}
