/**
 * What is known of workers, and what operators want of them.
 *
 * Decides: what of a report is worth a commit (a change, and a sign of life each half minute), that the
 * rest is the memory of all nodes, and that a worker is told at once what an operator has changed. Leaves to
 * others: when a worker is lost (its own machine's timer), who may come in (`groups.ts`).
 */
import {
  type ActorView,
  type AppContext,
  type Client,
  type Clock,
  formatAddress,
  type Log,
  parseAddress,
  type ServedWorkers,
  TroupeError,
  type WorkerOrder,
  type WorkerReport,
} from '../../src/index.ts'
import type { WorkerFacts } from './machines.ts'

export type Duty = 'online' | 'draining' | 'offline'
type Contact = 'heard' | 'stopped' | 'lost'

export interface WorkerSummary {
  name: string
  /** What an operator wants, unless it is not there. */
  status: Duty | 'stopped' | 'lost'
  group: string
  address: string
  version: string
  node: string
  slots: number
  /** What it takes tasks from. */
  queues: string[]
  /** Unix ms. */
  heardAt: number
  /** These three are what it said last; a node that was started since has not heard it. */
  running?: number
  load?: number
  memoryFreeBytes?: number
  /** Why it takes nothing new; empty when it does. */
  refusals: string[]
}

/** The event that brings a worker to a duty. */
const EVENTS = { online: 'ONLINE', offline: 'OFFLINE', draining: 'DRAIN' } as const
const REASONS: Readonly<Record<Exclude<Duty, 'online'>, string>> = {
  offline: 'offline: taken offline by an operator',
  draining: 'draining: by an operator; what runs goes on',
}
/** A sign of life is committed at most this often. */
const HEARD_EVERY_MS = 30_000
/** Of the silence that counts as lost, a sign of life is committed in this part at the latest. */
const HEARD_SHARE = 1 / 3
/** How often a worker reports, and in which part of the silence that counts as lost at the latest. */
const REPORT_MS = 10_000
const REPORT_SHARE = 1 / 6

/** What a worker said last, to this node or to another. */
interface Heard {
  report: WorkerReport
  heardAt: number
}

/** One that this node hears. */
interface Live {
  /** What was committed last, as far as a change of it is worth another commit. */
  committed: string
  committedMs: number
  duty: Duty
}

export class Workers {
  readonly #client: Client
  readonly #clock: Clock
  readonly #log: Log
  readonly #served: ServedWorkers
  readonly #lostMs: number
  readonly #live = new Map<string, Live>()
  readonly #heard = new Map<string, Heard>()

  constructor(context: AppContext) {
    this.#client = context.client
    this.#clock = context.clock
    this.#log = context.log
    this.#served = context.workers
    this.#lostMs = context.limits.workerLostMs
  }

  async heard(report: WorkerReport): Promise<WorkerOrder> {
    const { name } = report
    const known = this.#live.get(name)
    const now = this.#clock.monotonic()
    const everyMs = Math.min(HEARD_EVERY_MS, this.#lostMs * HEARD_SHARE)
    const isOld = known === undefined || now - known.committedMs >= everyMs
    const isDrained = known?.duty === 'draining' && report.running === 0
    const state = changeOf(report)
    const heardAt = this.#clock.now()
    if (known !== undefined && !isOld && !isDrained && known.committed === state) {
      this.#heard.set(name, { report, heardAt })
      return this.#orderOf(known.duty)
    }
    const duty = await this.#commit(report, heardAt)
    this.#heard.set(name, { report, heardAt })
    this.#live.set(name, { committed: state, committedMs: now, duty })
    return this.#orderOf(duty)
  }

  /** By another node, which has committed what is worth it: should it come back here, that counts no more. */
  overheard(report: WorkerReport): void {
    this.#live.delete(report.name)
    this.#heard.set(report.name, { report, heardAt: this.#clock.now() })
  }

  /** @throws TroupeError `not-found` */
  async set(name: string, duty: Duty, author: string): Promise<WorkerSummary> {
    const address = addressOf(name)
    try {
      await this.#client.as(author).send(address, { type: EVENTS[duty] })
    } catch (thrown) {
      throw unknownWorker(name, thrown)
    }
    await this.refresh(address)
    return this.view(name)
  }

  /** The worker's actor has changed: what it says now counts at once. */
  async refresh(address: string): Promise<void> {
    const { id: name } = parseAddress(address)
    const live = this.#live.get(name)
    const { duty } = sidesOf(await this.#client.get(address))
    if (live !== undefined) live.duty = duty
    this.#served.admit(name, this.#orderOf(duty))
  }

  /** @throws TroupeError `not-found` */
  async view(name: string): Promise<WorkerSummary> {
    try {
      return this.#summaryOf(await this.#client.get(addressOf(name)))
    } catch (thrown) {
      throw unknownWorker(name, thrown)
    }
  }

  async list(): Promise<WorkerSummary[]> {
    const names: string[] = []
    const filter = { machine: 'worker' }
    for await (const { address } of this.#client.rows({ filter })) names.push(address)
    const views = await Promise.all(names.map((address) => this.#client.get(address)))
    return views.map((view) => this.#summaryOf(view)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Follows changes that came by another way than `set`, until the signal ends it. */
  async follow(signal: AbortSignal): Promise<void> {
    for await (const event of this.#client.watch({ machine: 'worker' }, signal)) {
      if (event.kind !== 'transition' || event.from === event.to) continue
      await this.refresh(event.address).catch((error: unknown) => {
        // Its next report tells it.
        this.#log.warn({ address: event.address, err: error }, 'a worker could not be looked at')
      })
    }
  }

  async #commit(report: WorkerReport, heardAt: number): Promise<Duty> {
    const { name, group, address, version, slots, queues, node, refusals, running, state } = report
    const facts: WorkerFacts = {
      group,
      address,
      version,
      slots,
      queues,
      node,
      refusals,
      heardAt,
      lostMs: this.#lostMs,
    }
    const actor = addressOf(name)
    if (state === 'stopped') {
      await this.#client.ensure(actor, facts)
      await this.#client.send(actor, { type: 'STOPPED' })
    } else {
      await this.#send(actor, facts, running)
    }
    return sidesOf(await this.#client.get(actor)).duty
  }

  /** Started when it is heard for the first time. */
  async #send(actor: string, facts: WorkerFacts, running: number): Promise<void> {
    const event = { type: 'HEARD', facts, running }
    try {
      await this.#client.send(actor, event)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || thrown.code !== 'unknown-actor') throw thrown
      await this.#client.ensure(actor, facts)
    }
  }

  #orderOf(duty: Duty): WorkerOrder {
    const reportMs = Math.max(1, Math.min(REPORT_MS, this.#lostMs * REPORT_SHARE))
    return duty === 'online'
      ? { admitted: true, reportMs }
      : { admitted: false, reason: REASONS[duty], reportMs }
  }

  #summaryOf(view: ActorView): WorkerSummary {
    const { id: name } = parseAddress(view.address)
    const { duty, contact } = sidesOf(view)
    const facts = view.context as WorkerFacts
    const { group, address, version, slots, queues = [], node, refusals, heardAt } = facts
    const status = contact === 'heard' ? duty : contact
    const base = { name, status, group, address, version, node, slots, queues }
    const heard = this.#heard.get(name)
    if (heard === undefined || contact !== 'heard') return { ...base, heardAt, refusals }
    const { running, load, memoryFreeBytes } = heard.report
    const figures = { running, load, memoryFreeBytes, refusals: refusalsOf(heard.report, duty) }
    return { ...base, heardAt: Math.max(heardAt, heard.heardAt), ...figures }
  }
}

/** As the worker said, and what it was told since. */
function refusalsOf(report: WorkerReport, duty: Duty): string[] {
  const own = report.refusals.filter((reason) => !Object.values(REASONS).includes(reason))
  return duty === 'online' ? own : [REASONS[duty], ...own]
}

/** What is committed as soon as it changes. The words of a refusal hold figures: only its kind counts. */
function changeOf(report: WorkerReport): string {
  const { group, address, version, slots, queues, node, state, refusals } = report
  const kinds = refusals.map((reason) => reason.split(':')[0]).filter((kind) => kind !== 'count')
  return JSON.stringify([group, address, version, slots, queues, node, state, kinds])
}

function sidesOf({ value }: ActorView): { duty: Duty; contact: Contact } {
  return value as { duty: Duty; contact: Contact }
}

function addressOf(name: string): string {
  return formatAddress('worker', name)
}

function unknownWorker(name: string, thrown: unknown): unknown {
  const codes = ['unknown-actor', 'invalid-address']
  if (!(thrown instanceof TroupeError) || !codes.includes(thrown.code)) return thrown
  return new TroupeError(
    'not-found',
    `there is no worker ${name.slice(0, 64)}: troupe workers list shows them`,
  )
}
