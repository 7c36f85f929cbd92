/**
 * Jobs of every kind on one node, and the judgement on what became of them. Every command leaves a line in
 * a file when it begins, so that it can be told how often, and when, each has run. Leaves to others:
 * the kinds (`kinds.ts`), and what is done to the node meanwhile (`restarts.ts`).
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { CommandOutput } from '../../../machines/jobs/command.ts'
import type { ActorView, HistoryView } from '../../../src/protocol/index.ts'
import { until } from '../../waiting.ts'
import { KINDS, type Kind, type KindName, placeOf, type Scale } from './kinds.ts'
import type { NodeChild } from './node-child.ts'
import type { Receiver } from './receiver.ts'

/** By how much something came later than it was due. */
export interface Delay {
  what: string
  jobId: number
  ms: number
}

const AT_ONCE = 50
const SETTLE_MS = 60_000
const OUTCOMES: ReadonlySet<string> = new Set(['success', 'failed', 'killed', 'removed'])

export class Fleet {
  readonly #node: NodeChild
  readonly #scale: Scale
  readonly #witness: string
  readonly #receiver: Receiver
  readonly #kinds = new Map<number, KindName>()
  /** Of jobs with callbacks that wait for their next try: when the last of those is due. */
  readonly #callbacksDue = new Map<number, number>()

  /** @param receiver of callbacks; it takes none until the node goes away */
  constructor(node: NodeChild, directory: string, receiver: Receiver, scale: Scale) {
    this.#node = node
    this.#scale = scale
    this.#witness = join(directory, 'witness')
    this.#receiver = receiver
    receiver.usual = 503
  }

  /** Brings every job to where it has to stand, and sees that all of them stand there at the end. */
  async submit(): Promise<void> {
    for (const name of Object.keys(KINDS) as KindName[]) {
      const jobIds: number[] = []
      await inBatches(Array.from({ length: this.#scale.count }), async () => {
        jobIds.push(await this.#submitOne(name))
      })
      const { before = [], from, stands }: Kind = KINDS[name]
      await inBatches(jobIds, async (jobId) => {
        if (from !== undefined) await this.#reaches(jobId, from, SETTLE_MS)
        await this.#take(jobId, before)
        await this.#reaches(jobId, stands, SETTLE_MS)
      })
    }
    expect(this.#kinds.size).toBe(this.#scale.count * Object.keys(KINDS).length)
    expect(await this.#strays(), 'jobs elsewhere when the node goes away').toEqual([])
    this.#receiver.received.length = 0
    this.#receiver.usual = 200
  }

  /** All go where they had to, do what they are asked, and have run and ended as often as they had to. */
  async judge(timeoutMs: number): Promise<void> {
    await this.#each((jobId, { becomes }) => this.#reaches(jobId, becomes, timeoutMs))
    await this.#each((jobId, { after = [] }) => this.#take(jobId, after))
    await this.#each((jobId, { ends }) => this.#reaches(jobId, ends, timeoutMs))
    const runs = await this.#runs()
    const wrong = [...this.#kinds].filter(
      ([jobId, name]) => (runs.get(jobId)?.length ?? 0) !== KINDS[name].runs,
    )
    expect(wrong.map(([jobId, name]) => [jobId, name, runs.get(jobId)])).toEqual([])
    await this.#each(async (jobId, { outcomes = 1 }) => {
      const history = await this.#ask<HistoryView[]>(jobId, '/history?limit=50')
      const ends = history.filter(({ from, to }) => OUTCOMES.has(to) && from !== to)
      expect(ends.length, JSON.stringify(history)).toBe(outcomes)
    })
  }

  /**
   * Of everything that was due while the node was away, or shortly after: attempts after their
   * interval, ends of commands, callbacks. Before `judge` asks anything of the jobs.
   */
  async delays(timeoutMs: number): Promise<Delay[]> {
    await this.#each((jobId, { becomes }) => this.#reaches(jobId, becomes, timeoutMs))
    const late = [this.#lateAttempts(), this.#lateEnds(), this.#lateCallbacks()]
    const delays = await Promise.all(late)
    for (const { length } of delays) expect(length).toBeGreaterThan(0)
    return delays.flat()
  }

  async #lateAttempts(): Promise<Delay[]> {
    const runs = await this.#runs()
    return this.#of('interval').map((jobId) => {
      const [first = 0, second = 0] = runs.get(jobId) ?? []
      return { what: 'attempt', jobId, ms: second - first - this.#scale.intervalS * 1_000 }
    })
  }

  async #lateEnds(): Promise<Delay[]> {
    const delays: Delay[] = []
    await inBatches(this.#of('running'), async (jobId) => {
      const { since, context } = await this.#ask(jobId)
      const { endedAt } = (context as { exit: CommandOutput }).exit
      delays.push({ what: 'end', jobId, ms: since - endedAt })
    })
    return delays
  }

  async #lateCallbacks(): Promise<Delay[]> {
    return this.#of('calling').flatMap((jobId) => {
      const told = this.#receiver.received.filter(({ body }) => body['jobId'] === String(jobId))
      const statuses = new Set(told.map(({ body }) => body['status']))
      expect(statuses, `what was told of job ${jobId}`).toEqual(new Set(['running', 'success']))
      const dueAt = this.#callbacksDue.get(jobId)
      // Its last try before the restart was under way when it was looked at.
      if (dueAt === undefined) return []
      return [{ what: 'callback', jobId, ms: Math.max(...told.map(({ at }) => at)) - dueAt }]
    })
  }

  #of(wanted: KindName): number[] {
    return [...this.#kinds].flatMap(([jobId, name]) => (name === wanted ? [jobId] : []))
  }

  #each(work: (jobId: number, kind: Kind) => Promise<void>): Promise<void> {
    return inBatches([...this.#kinds], ([jobId, name]) => work(jobId, KINDS[name]))
  }

  async #submitOne(name: KindName): Promise<number> {
    const mark = `WITNESS='${this.#witness}'; echo "$TROUPE_JOB_ID $(date +%s%3N)" >>"$WITNESS"`
    const callbackUrl = `${this.#receiver.url}/told`
    const fields = (KINDS[name] as Kind).fields({ ...this.#scale, mark, callbackUrl })
    const { body } = await this.#node.operate('POST', '/jobs', { name, content: mark, ...fields })
    const jobId = Number(body['jobId'])
    expect(this.#kinds.has(jobId), `job ${jobId} is given twice`).toBe(false)
    this.#kinds.set(jobId, name)
    return jobId
  }

  async #take(jobId: number, steps: NonNullable<Kind['before']>): Promise<void> {
    for (const { method, path, body } of steps) {
      const answer = await this.#node.operate(method, path(jobId), body)
      expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    }
  }

  async #reaches(jobId: number, place: string, timeoutMs: number): Promise<void> {
    let last = ''
    await until(
      async () => {
        const view = await this.#ask(jobId)
        last = `"${placeOf(view)}": ${JSON.stringify(view)}`
        return placeOf(view) === place
      },
      { timeoutMs, every: 100 },
      () => `"${place}" of job ${jobId}; it is ${last}`,
    )
  }

  /** Jobs that do not stand where they have to; remembers when callbacks are due. */
  async #strays(): Promise<string[]> {
    const strays: string[] = []
    await this.#each(async (jobId, { stands }) => {
      const view = await this.#ask(jobId)
      const dues = view.tasks.flatMap(({ name, notBefore }) =>
        name === 'job-callback' && notBefore !== undefined ? [notBefore] : [],
      )
      if (dues.length > 0) this.#callbacksDue.set(jobId, Math.max(...dues))
      const place = placeOf(view)
      if (place !== stands) strays.push(`job ${jobId}: "${place}", not "${stands}"`)
    })
    return strays
  }

  async #ask<T = ActorView>(jobId: number, rest = ''): Promise<T> {
    const { body } = await this.#node.operate('GET', `/troupe/v1/actors/job/${jobId}${rest}`)
    return body as T
  }

  /** When the command of each job began, by job. */
  async #runs(): Promise<Map<number, number[]>> {
    const runs = new Map<number, number[]>()
    for (const line of (await readFile(this.#witness, 'utf8')).trim().split('\n')) {
      const [jobId = 0, at = 0] = line.split(' ').map(Number)
      runs.set(jobId, [...(runs.get(jobId) ?? []), at])
    }
    return runs
  }
}

export async function inBatches<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < items.length; at += AT_ONCE) {
    const batch = items.slice(at, at + AT_ONCE)
    await Promise.all(batch.map((item, offset) => work(item, at + offset)))
  }
}
