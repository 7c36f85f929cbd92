/**
 * A lane: one configured child through all its lives, and the requests that it works on.
 *
 * Decides: when a child is started again (for ever, after a growing wait), what a reply means, and what
 * becomes of a request that nobody wants any more:
 *  - A child that knows `cancel` is asked, and has a grace to answer.
 *  - Otherwise the child is killed at once if no other wanted request is in it: the work ends now.
 *  - Otherwise the request keeps its place, since the child works on it and the others must not be
 *    harmed. After a while the lane takes nothing new, and when its last wanted request has ended, the
 *    child is killed. So hours of others' work are never lost, and what hangs ends at last.
 * Leaves to others: who gets a place (`stage-line.ts`), the process itself (`child.ts`).
 */
import type { BadReplies } from './bad-replies.ts'
import { Child, type ChildDeps } from './child.ts'
import { ProcessorError, type ProcessorErrorKind, wordsOf } from './errors.ts'
import type { Job } from './job.ts'
import type { KeyedWork } from './keyed-work.ts'
import { residentBytes } from './process-memory.ts'
import {
  type Abilities,
  cancelLine,
  type ReplyLine,
  readReply,
  requestLine,
  unreadable,
} from './protocol.ts'
import { laneName, type ProcessorConfig } from './settings.ts'

/** Waits differ by this part, so that children that died together do not all start together. */
const JITTER = 0.2

export type LaneState =
  | 'starting'
  | 'ready'
  /** Takes nothing new, since it works on a request that was given up long ago. */
  | 'draining'
  /** Down; see `restartsAt`. */
  | 'restarting'
  | 'stopped'

export interface LaneReport {
  stage: string
  /** `child.<stage>.<n>`, or `inner.<stage>` for a stage that runs in this process. */
  lane: string
  pid: number | null
  state: LaneState
  /** Unix ms. */
  restartsAt: number | null
  /** What it works on, the abandoned included. */
  running: { key: string; startedAt: number; isAbandoned: boolean }[]
  /** Places in all. */
  concurrent: number | null
  /** Requests that wait for a place in a child of this stage. */
  waiting: number
  restarts: number
  lastError: { at: number; message: string } | null
  rssBytes: number | null
}

export interface Trouble {
  stage: string
  lane: string
  kind: 'down' | 'bad-reply'
  message: string
}

export interface LaneDeps extends ChildDeps {
  work: KeyedWork
  badReplies: BadReplies
  proof: string
  /** In [0, 1). */
  random: () => number
  /** A place may have come free, or the lane went up or down. */
  onChange: () => void
  onTrouble: (trouble: Trouble) => void
}

interface Request {
  id: number
  job: Job
  startedAt: number
  /** Its caller does not wait for it any more. */
  isAbandoned: boolean
  /** And asking the child to stop it does not help. */
  isStuck: boolean
  /** And it has been like that for long. */
  isOverdue: boolean
  /** Says that nobody works on it any more. */
  release: () => void
  cancelTimer: () => void
}

export class Lane {
  readonly stage: string
  readonly name: string
  readonly concurrent: number
  /** The names of those it needs, as one text. */
  readonly locks: string
  /** Orders lanes that are equally loaded: the one that waits longest is next. */
  takenAt = 0
  lastError: LaneReport['lastError'] = null
  readonly #index: number
  readonly #config: ProcessorConfig
  readonly #deps: LaneDeps
  readonly #requests = new Map<number, Request>()
  #phase: 'starting' | 'ready' | 'restarting' | 'stopped' = 'starting'
  #child: Child | undefined
  #abilities: Abilities = { cancel: false, progress: false }
  #nextId = 1
  #starts = 0
  /** Deaths in a row. */
  #failures = 0
  #readySince: number | undefined
  /** The present child is ended by us, for a request that was given up. */
  #endsForRequest = false
  #isFailing = false
  #restartsAt: number | null = null
  #cancelRestart: () => void = () => undefined
  #isStopping = false
  #onStopped: () => void = () => undefined
  readonly #stopped = new Promise<void>((resolve) => {
    this.#onStopped = resolve
  })

  constructor(stage: string, index: number, config: ProcessorConfig, deps: LaneDeps) {
    this.stage = stage
    this.#index = index
    this.name = laneName(stage, index)
    this.concurrent = config.concurrent
    this.locks = [...new Set(config.locks)].sort().join(' ')
    this.#config = config
    this.#deps = deps
  }

  get state(): LaneState {
    const isDraining = [...this.#requests.values()].some(({ isOverdue }) => isOverdue)
    return this.#phase === 'ready' && isDraining ? 'draining' : this.#phase
  }

  /** A child is there and works; it may have no room. */
  get isUp(): boolean {
    return this.#phase === 'ready'
  }

  /** It can be counted on: its child has not failed since the last one that was ready, and takes requests. */
  get isWell(): boolean {
    return !this.#isFailing && this.state !== 'draining'
  }

  /** Places that are free now. */
  get room(): number {
    return this.state === 'ready' ? this.concurrent - this.#requests.size : 0
  }

  start(): void {
    if (this.#isStopping) return
    this.#phase = 'starting'
    this.#restartsAt = null
    this.#endsForRequest = false
    this.#readySince = undefined
    this.#starts += 1
    const { stage, name: lane } = this
    const { proof, ...deps } = this.#deps
    const defaultGroup = `vc-worker/sub-${stage}-${process.pid}-${this.#index}`
    const spec = { stage, lane, config: this.#config, proof, defaultGroup }
    try {
      this.#child = new Child(
        spec,
        {
          ready: (abilities) => this.#ready(abilities),
          line: (text) => this.#read(text, readReply(text)),
          overlong: (head) => this.#read(head, unreadable(head, 'it is longer than the limit')),
          ending: () => {
            this.#phase = 'restarting'
          },
          gone: (why) => this.#gone(why),
        },
        deps,
      )
    } catch (thrown) {
      this.#gone(`it cannot be started: ${wordsOf(thrown)}`)
    }
  }

  /** Ends the child; resolves when nothing of it runs any more. What it worked on fails as `exited`. */
  stop(): Promise<void> {
    this.#isStopping = true
    this.#cancelRestart()
    if (this.#child === undefined) {
      this.#phase = 'stopped'
      this.#onStopped()
    } else {
      this.#child.end('the daemon stops')
    }
    return this.#stopped
  }

  /** There has to be room. */
  take(job: Job): void {
    const { clock, work } = this.#deps
    const id = this.#nextId++
    const line = this.#lineOf(id, job)
    if (line === undefined) return
    const { key, timeoutMs = this.#config.timeoutMs } = job.options
    const request: Request = {
      ...{ id, job, startedAt: clock.now() },
      ...{ isAbandoned: false, isStuck: false, isOverdue: false },
      release: work.begin(key),
      cancelTimer: () => undefined,
    }
    this.#requests.set(id, request)
    job.heldBy(() => this.#abandon(request))
    if (timeoutMs !== null) {
      request.cancelTimer = clock.after(timeoutMs, () => job.timeOut(timeoutMs))
    }
    this.#child?.send(line)
    const pid = this.#child?.pid ?? null
    this.#guard(() => job.started({ lane: this.name, pid }))
  }

  report(waiting: number): LaneReport {
    const pid = this.#child?.pid ?? null
    return {
      stage: this.stage,
      lane: this.name,
      pid,
      state: this.state,
      restartsAt: this.#restartsAt,
      running: [...this.#requests.values()].map(({ job, startedAt, isAbandoned }) => ({
        ...{ key: job.options.key, startedAt, isAbandoned },
      })),
      concurrent: this.concurrent,
      waiting,
      restarts: Math.max(0, this.#starts - 1),
      lastError: this.lastError,
      rssBytes: pid === null ? null : residentBytes(pid),
    }
  }

  /** Undefined for a task that cannot be sent, which its caller is told. */
  #lineOf(id: number, job: Job): string | undefined {
    const { lineBytesMax } = this.#deps.limits
    try {
      const line = requestLine(id, job.task)
      if (Buffer.byteLength(line) <= lineBytesMax) return line
      job.reject(this.#error('refused', `a task of ${this.stage} is over ${lineBytesMax} bytes`))
    } catch (thrown) {
      job.reject(this.#error('refused', `a task of ${this.stage} is no JSON: ${wordsOf(thrown)}`))
    }
    return undefined
  }

  #ready(abilities: Abilities): void {
    this.#abilities = abilities
    this.#phase = 'ready'
    this.#isFailing = false
    this.#readySince = this.#deps.clock.monotonic()
    this.#deps.log.info(
      { lane: this.name, pid: this.#child?.pid, ...abilities },
      'a child is ready',
    )
    this.#deps.onChange()
  }

  #read(text: string, reply: ReplyLine): void {
    if (reply.kind === 'unreadable') return this.#readBad(text, reply)
    const request = this.#requests.get(reply.id)
    if (request === undefined) {
      this.#deps.log.warn({ lane: this.name, id: reply.id }, 'a child answers what nobody asked')
    } else if (reply.kind === 'progress') {
      this.#guard(() => request.job.progress(reply.progress))
    } else if (reply.kind === 'output') {
      request.job.resolve(reply.output)
      this.#over(request)
    } else {
      request.job.reject(this.#error(reply.isPassing ? 'unavailable' : 'refused', reply.message))
      this.#over(request)
    }
  }

  #readBad(text: string, { ids, why }: ReplyLine & { kind: 'unreadable' }): void {
    const pid = this.#child?.pid ?? null
    this.#deps.badReplies.keep({ lane: this.name, pid, text, why }, this.#config)
    const id = ids.find((one) => this.#requests.has(one))
    const request = id === undefined ? undefined : this.#requests.get(id)
    const message = `${this.name} sent a reply that cannot be read: ${why}`
    this.#deps.onTrouble({ stage: this.stage, lane: this.name, kind: 'bad-reply', message })
    if (request === undefined) return
    request.job.reject(this.#error('bad-reply', message))
    this.#over(request)
  }

  /** Callers' code runs in the middle of ours; its fault must not reach other requests. */
  #guard(call: () => void): void {
    try {
      call()
    } catch (thrown) {
      this.#deps.log.error({ lane: this.name, error: wordsOf(thrown) }, 'a caller did not listen')
    }
  }

  #abandon(request: Request): void {
    const { clock, limits } = this.#deps
    request.cancelTimer()
    request.isAbandoned = true
    if (!this.#abilities.cancel) return this.#giveUp(request)
    this.#child?.send(cancelLine(request.id))
    request.cancelTimer = clock.after(limits.cancelGraceMs, () => this.#giveUp(request))
  }

  #giveUp(request: Request): void {
    request.isStuck = true
    request.cancelTimer = this.#deps.clock.after(this.#deps.limits.abandonedMs, () => {
      request.isOverdue = true
      this.#deps.log.warn(
        { lane: this.name },
        'a child still works on what was given up: nothing new',
      )
      this.#deps.onChange()
    })
    this.#judge()
  }

  #over(request: Request): void {
    this.#requests.delete(request.id)
    request.cancelTimer()
    request.release()
    this.#judge()
    this.#deps.onChange()
  }

  /** Kills the child when all that it still does is in vain. */
  #judge(): void {
    const all = [...this.#requests.values()]
    const isInVain = all.every(({ isAbandoned }) => isAbandoned)
    if (this.#phase !== 'ready' || !isInVain || !all.some(({ isStuck }) => isStuck)) return
    this.#endsForRequest = true
    this.#child?.end('it still worked on a request that was given up')
  }

  #gone(why: string): void {
    const pid = this.#child?.pid ?? null
    this.#child = undefined
    const error = this.#error('exited', `child process exited: ${this.stage} (pid ${pid}): ${why}`)
    const requests = [...this.#requests.values()]
    this.#requests.clear()
    this.#phase = this.#isStopping ? 'stopped' : 'restarting'
    for (const { job, release, cancelTimer } of requests) {
      cancelTimer()
      job.reject(error)
      release()
    }
    if (this.#isStopping) return this.#onStopped()
    if (this.#endsForRequest) this.start()
    else this.#fail(why, pid)
    this.#deps.onChange()
  }

  #fail(why: string, pid: number | null): void {
    const { clock, limits, log, random, onTrouble } = this.#deps
    this.lastError = { at: clock.now(), message: why }
    this.#isFailing = true
    const readyMs = this.#readySince === undefined ? 0 : clock.monotonic() - this.#readySince
    if (readyMs >= limits.steadyMs) this.#failures = 0
    const fields = { lane: this.name, pid, why }
    onTrouble({ stage: this.stage, lane: this.name, kind: 'down', message: why })
    if (!this.#config.autoRestart) {
      this.#phase = 'stopped'
      log.error(fields, 'a child is down and stays so: its auto_restart is off')
      return
    }
    const plainMs = Math.min(limits.restartMinMs * 2 ** this.#failures, limits.restartMaxMs)
    const delayMs = Math.round(plainMs * (1 + JITTER * (2 * random() - 1)))
    this.#failures += 1
    this.#restartsAt = clock.now() + delayMs
    this.#cancelRestart = clock.after(delayMs, () => this.start())
    log.error({ ...fields, restartsInMs: delayMs }, 'a child is down')
  }

  #error(kind: ProcessorErrorKind, message: string): ProcessorError {
    return new ProcessorError(kind, message, { stage: this.stage, lane: this.name })
  }
}
