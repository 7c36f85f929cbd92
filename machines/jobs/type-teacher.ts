/**
 * Jobs of a type that nobody knew when they were submitted. Decides: that they go on once this node's
 * configuration has their type, which takes a restart, so that they are looked for when it begins and
 * then now and then: shards come to a node later, too.
 */
import type { AppContext, AppDaemon, Client, Clock, Log } from '../../src/index.ts'
import type { CommandTemplate, JobsConfig } from './config.ts'
import type { JobContext } from './job.ts'

const EVERY_MS = 30_000

export class TypeTeacher implements AppDaemon {
  readonly name = 'job-types'
  readonly #client: Client
  readonly #clock: Clock
  readonly #log: Log
  readonly #types: Readonly<Record<string, CommandTemplate>>
  #cancel: () => void = () => {}
  #stopped = false

  constructor({ client, clock, log, config }: AppContext<JobsConfig>) {
    this.#client = client
    this.#clock = clock
    this.#log = log
    this.#types = config.types
  }

  async start(): Promise<void> {
    void this.#round()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel()
  }

  async #round(): Promise<void> {
    try {
      await this.#teachAll()
    } catch (thrown) {
      if (!this.#stopped)
        this.#log.warn({ err: thrown }, 'jobs of unknown types were not looked at')
    }
    if (!this.#stopped) this.#cancel = this.#clock.after(EVERY_MS, () => void this.#round())
  }

  async #teachAll(): Promise<void> {
    let cursor: string | undefined
    do {
      const page = await this.#client.list({
        filter: { machine: 'job', state: 'waiting.type' },
        ...(cursor === undefined ? {} : { cursor }),
      })
      for (const { address } of page.rows) {
        if (this.#stopped) return
        await this.#teach(address)
      }
      cursor = page.cursor
    } while (cursor !== undefined)
  }

  async #teach(address: string): Promise<void> {
    const { jobType } = (await this.#client.get(address)).context as JobContext
    const template = Object.hasOwn(this.#types, jobType) ? this.#types[jobType] : undefined
    if (template) await this.#client.send(address, { type: 'LEARN_TYPE', jobType, template })
  }
}
