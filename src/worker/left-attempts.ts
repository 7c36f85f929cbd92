/**
 * What an earlier process of the worker left. Decides: what becomes of each attempt, by how far it came.
 * Leaves to others: asking its owner (`starter.ts`), running it (`worker.ts`), its end (`endings.ts`).
 */
import type { AnyTask } from '../machine/index.ts'
import type { Log } from '../ports/index.ts'
import type {
  AttemptFiles,
  AttemptRecord,
  GrantedAttempt,
  Intent,
  KeptAttempt,
} from './attempt-files.ts'
import type { Endings } from './endings.ts'
import type { Intake } from './intake.ts'
import type { Rivals } from './rivals.ts'
import type { NextAttempt, Starter } from './starter.ts'

export interface LeftAttemptsDeps {
  files: AttemptFiles
  tasks: ReadonlyMap<string, AnyTask>
  starter: Starter
  endings: Endings
  rivals: Rivals
  intake: Intake
  log: Log
  /** Runs it once it is granted, with the slot that it has. */
  begin: (name: string, start: () => Promise<GrantedAttempt | undefined>) => Promise<void>
  run: (granted: NextAttempt, origin: 'reattached' | 'next') => Promise<void>
}

export class LeftAttempts {
  readonly #deps: LeftAttemptsDeps

  constructor(deps: LeftAttemptsDeps) {
    this.#deps = deps
  }

  /** Goes on where the earlier process was cut off: each has a slot from now on. */
  takeUp(): Promise<void>[] {
    const { files, intake } = this.#deps
    const left = files.live()
    const known = new Set(left.map(({ intent }) => intent.taskId))
    return left.map(({ name, intent }) => {
      intake.reserve()
      return this.#takeUp(name, intent, known)
    })
  }

  async #takeUp(name: string, intent: Intent, known: ReadonlySet<string>): Promise<void> {
    const { tasks, starter, intake, begin, log } = this.#deps
    const { record, result } = this.#read(name)
    if (record === undefined) return begin(name, () => starter.ask(name, intent))
    const task = tasks.get(record.name)
    if (task?.reattach && result === undefined) return this.#attach(name, record)
    intake.release()
    if (result !== undefined) return this.#report(name, record, result, known)
    if (task !== undefined) return this.#fail(name, record)
    const { taskId, name: taskName } = record
    log.warn({ taskId, task: taskName }, 'an attempt of an unknown task is left as it is')
  }

  async #attach(name: string, record: AttemptRecord): Promise<void> {
    const { starter, endings, rivals, intake, run } = this.#deps
    // Each next step has its own hold before this one ends.
    const release = rivals.hold(record)
    let next: Promise<unknown> | undefined
    try {
      const answer = await starter.attach(record)
      if (typeof answer === 'object') next = run({ name, ...answer }, 'reattached')
      else intake.release()
      if (answer === 'given-up') next = endings.drop(name, record)
    } finally {
      release()
    }
    await next
  }

  #read(name: string): KeptAttempt {
    try {
      return this.#deps.files.read(name)
    } catch (thrown) {
      this.#deps.intake.release()
      throw thrown
    }
  }

  /** What began with the end, if its owner was told, may have left no files: it begins now. */
  async #report(
    name: string,
    record: AttemptRecord,
    result: NonNullable<KeptAttempt['result']>,
    known: ReadonlySet<string>,
  ): Promise<void> {
    const { endings, intake, run } = this.#deps
    const next = await endings.report(name, record, result, { known })
    if (next === undefined) return
    intake.reserve()
    await run(next, 'next')
  }

  /** The retry need not wait for the lease. */
  async #fail(name: string, record: AttemptRecord): Promise<void> {
    const { endings } = this.#deps
    await endings.endRun(name, record)
    const message = 'the worker was restarted while the task ran'
    const failure = { class: 'temporary', code: 'worker-restarted', message } as const
    await endings.finish(name, record, { op: 'task.failed', failure })
  }
}
