/**
 * Jobs in every state, and what has to become of them whatever happens to their node: every command
 * leaves a line in a file when it begins, so that it can be told how often, and when, each has run.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { until } from '../../waiting.ts'
import type { Answered } from './node-child.ts'

export interface Door {
  operate(method: string, path: string, body?: unknown): Promise<Answered | { body: unknown }>
}

export interface FleetOptions {
  /** Jobs of each kind. */
  count: number
  /** How long a failed command waits for its second attempt, and how long a run takes. */
  intervalS: number
  runS: number
}

interface Kind {
  /** Where it stands before the node goes away. */
  stands: string
  /** Where it ends, or stays. */
  becomes: string
  runs: number
  fields: (options: FleetOptions, mark: string) => Record<string, unknown>
  /** What is done to it once it is submitted. */
  afterwards?: { path: (jobId: number) => string; body?: unknown }
}

/** Nobody serves it. */
const NO_WORKER = 77
/** Fails in its first attempt. */
const SECOND_TIME = `[ "$(grep -c "^$TROUPE_JOB_ID " "$WITNESS")" -ge 2 ]`

const act = (action: string) => ({ path: (jobId: number) => `/jobs/${jobId}/${action}` })

const KINDS: Record<string, Kind> = {
  ready: { stands: 'ready', becomes: 'ready', runs: 0, fields: () => ({ group: NO_WORKER }) },
  typeless: { stands: 'waiting', becomes: 'waiting', runs: 0, fields: () => ({ type: 'odd' }) },
  paused: {
    stands: 'waiting',
    becomes: 'waiting',
    runs: 0,
    fields: () => ({ group: NO_WORKER }),
    afterwards: { path: (jobId) => `/troupe/v1/actors/job/${jobId}/pause`, body: {} },
  },
  success: { stands: 'success', becomes: 'success', runs: 1, fields: () => ({}) },
  failed: {
    stands: 'failed',
    becomes: 'failed',
    runs: 1,
    fields: (_options, mark) => ({ content: `${mark}; exit 3` }),
  },
  killed: {
    stands: 'killed',
    becomes: 'killed',
    runs: 0,
    fields: () => ({ group: NO_WORKER }),
    afterwards: act('kill'),
  },
  removed: {
    stands: 'removed',
    becomes: 'removed',
    runs: 0,
    fields: () => ({ group: NO_WORKER }),
    afterwards: act('remove'),
  },
  // Command and shim are killed, so that nobody can say how it ended.
  stopped: {
    stands: 'stopped',
    becomes: 'stopped',
    runs: 1,
    fields: (_options, mark) => ({ content: `${mark}; kill -9 $PPID $$` }),
  },
  interval: {
    stands: 'waiting',
    becomes: 'success',
    runs: 2,
    fields: ({ intervalS }, mark) => ({
      content: `${mark}; ${SECOND_TIME}`,
      failedAttempts: 1,
      failedInterval: intervalS,
    }),
  },
  running: {
    stands: 'running',
    becomes: 'success',
    runs: 1,
    fields: ({ runS }, mark) => ({ content: `${mark}; sleep ${runS}` }),
  },
}

const AT_ONCE = 50

export class Fleet {
  readonly #door: Door
  readonly #options: FleetOptions
  readonly #witness: string
  readonly #kinds = new Map<number, Kind>()

  constructor(door: Door, directory: string, options: FleetOptions) {
    this.#door = door
    this.#options = options
    this.#witness = join(directory, 'witness')
  }

  /** Every job where it has to stand. Those that do not stay there are the last. */
  async submit(): Promise<void> {
    for (const [name, kind] of Object.entries(KINDS)) {
      const jobIds: number[] = []
      await inBatches(Array.from({ length: this.#options.count }), async () => {
        jobIds.push(await this.#submitOne(name, kind))
      })
      await inBatches(jobIds, (jobId) => this.#reaches(jobId, kind.stands, 60_000))
    }
    expect(this.#kinds.size).toBe(this.#options.count * Object.keys(KINDS).length)
  }

  /** All stand, or stood, where they had to; each command ran as often as it had to. */
  async judge(timeoutMs: number): Promise<void> {
    await inBatches([...this.#kinds], ([jobId, kind]) =>
      this.#reaches(jobId, kind.becomes, timeoutMs),
    )
    const runs = await this.#runs()
    const wrong = [...this.#kinds].filter(
      ([jobId, kind]) => (runs.get(jobId)?.length ?? 0) !== kind.runs,
    )
    expect(wrong.map(([jobId]) => [jobId, runs.get(jobId)])).toEqual([])
  }

  /** From the first to the second attempt, at most, in ms: of those that had to wait for it. */
  async longestIntervalMs(): Promise<number> {
    const runs = await this.#runs()
    const waits = [...runs.values()].flatMap(([first = 0, second]) =>
      second === undefined ? [] : [second - first],
    )
    expect(waits).toHaveLength(this.#options.count)
    return Math.max(...waits)
  }

  async #submitOne(name: string, { fields, afterwards }: Kind): Promise<number> {
    const mark = `WITNESS='${this.#witness}'; echo "$TROUPE_JOB_ID $(date +%s%3N)" >>"$WITNESS"`
    const request = { name, content: mark, ...fields(this.#options, mark) }
    const { body } = await this.#door.operate('POST', '/jobs', request)
    const { jobId } = body as { jobId: number }
    expect(this.#kinds.has(jobId)).toBe(false)
    this.#kinds.set(jobId, KINDS[name]!)
    if (afterwards) await this.#door.operate('POST', afterwards.path(jobId), afterwards.body)
    return jobId
  }

  async #reaches(jobId: number, status: string, timeoutMs: number): Promise<void> {
    let last: unknown
    await until(
      async () => {
        const { body } = await this.#door.operate('GET', `/jobs/${jobId}`)
        last = body
        return (body as { status?: string }).status === status
      },
      { timeoutMs, every: 100 },
      () => `status ${status} of job ${jobId}; it is ${JSON.stringify(last)}`,
    )
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
  work: (item: T) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < items.length; at += AT_ONCE)
    await Promise.all(items.slice(at, at + AT_ONCE).map(work))
}
