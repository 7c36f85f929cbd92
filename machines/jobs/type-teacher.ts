/**
 * Jobs of a type that nobody knew when they were submitted. Decides: that they go on once this node's
 * configuration has their type, which takes a restart, or a worker of their group says that it knows it:
 * so they are looked for when the node begins, whenever a worker has changed, and now and then, since
 * shards come to a node later, too.
 */
import type { AppContext, AppDaemon, Client, Clock, Log } from '../../src/index.ts'
import type { CommandTemplate, JobsConfig } from './config.ts'
import type { JobContext } from './job.ts'
import { type GroupTypes, typesOfGroup, WORKERS_OWN } from './queues.ts'

const EVERY_MS = 30_000
/** Workers that come together are looked at together. */
const GATHER_MS = 200

export class TypeTeacher implements AppDaemon {
  readonly name = 'job-types'
  readonly #client: Client
  readonly #clock: Clock
  readonly #log: Log
  readonly #types: Readonly<Record<string, CommandTemplate>>
  readonly #stop = new AbortController()
  #cancel: () => void = () => {}
  #plannedMs = Number.POSITIVE_INFINITY
  #isStale = false
  #watching: Promise<void> | undefined
  #round: Promise<void> | undefined

  constructor({ client, clock, log, config }: AppContext<JobsConfig>) {
    this.#client = client
    this.#clock = clock
    this.#log = log
    this.#types = config.types
  }

  async start(): Promise<void> {
    this.#watching = this.#watch()
    this.#plan(0)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#cancel()
    await Promise.all([this.#watching, this.#round])
  }

  /** Of a worker whose queues changed no more than that it has changed is told. */
  async #watch(): Promise<void> {
    for await (const event of this.#client.watch({ machine: 'worker' }, this.#stop.signal)) {
      if (event.kind === 'transition') this.#plan(GATHER_MS)
    }
  }

  #plan(delayMs: number): void {
    const dueMs = this.#clock.monotonic() + delayMs
    if (this.#stop.signal.aborted || dueMs >= this.#plannedMs) return
    this.#cancel()
    this.#plannedMs = dueMs
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#plannedMs = Number.POSITIVE_INFINITY
      // What is told during a round may come too late for it.
      if (this.#round !== undefined) this.#isStale = true
      else this.#round = this.#begin()
    })
  }

  async #begin(): Promise<void> {
    this.#isStale = false
    await this.#teachAll()
    this.#round = undefined
    this.#plan(this.#isStale ? GATHER_MS : EVERY_MS)
  }

  async #teachAll(): Promise<void> {
    const groups = new Map<number, Promise<GroupTypes>>()
    const filter = { machine: 'job', state: 'waiting.type' }
    try {
      for await (const { address, paused, parked } of this.#client.rows({ filter })) {
        if (this.#stop.signal.aborted) return
        // It would be kept, again and again.
        if (paused || parked) continue
        await this.#teach(address, groups)
      }
    } catch (thrown) {
      if (this.#stop.signal.aborted) return
      this.#log.warn({ err: thrown }, 'jobs of unknown types were not looked at')
    }
  }

  /** One that cannot be taught must not keep the others from it. */
  async #teach(address: string, groups: Map<number, Promise<GroupTypes>>): Promise<void> {
    try {
      await this.#tell(address, groups)
    } catch (thrown) {
      if (this.#stop.signal.aborted) return
      this.#log.warn({ address, err: thrown }, 'a job of an unknown type could not be looked at')
    }
  }

  async #tell(address: string, groups: Map<number, Promise<GroupTypes>>): Promise<void> {
    const { jobType, groupId } = (await this.#client.get(address)).context as JobContext
    let template = Object.hasOwn(this.#types, jobType) ? this.#types[jobType] : undefined
    if (template === undefined) {
      const known = groups.get(groupId) ?? typesOfGroup(this.#client, groupId)
      groups.set(groupId, known)
      if ((await known).types.has(jobType)) template = [...WORKERS_OWN]
    }
    if (template) await this.#client.send(address, { type: 'LEARN_TYPE', jobType, template })
  }
}
