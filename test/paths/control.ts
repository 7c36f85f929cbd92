/**
 * Pause and resume as a small model: what must hold, in the plainest words. A machine with a task, a
 * timer and an event that fails; everything that arrives while it holds waits in a list.
 */
import { raise } from 'xstate'
import { change, host, job, see } from '../shard/support.ts'

export const ALARM_MS = 1_000

export const ctl = host(
  'ctl',
  {
    initial: 'idle',
    on: {
      NOTE: { actions: 'note' },
      BAD: { actions: 'bad' },
      ARM: { actions: 'arm' },
      RING: { actions: 'rang' },
    },
    states: {
      idle: { entry: 'inIdle', on: { WORK: 'working' } },
      working: {
        entry: 'inWorking',
        invoke: {
          id: 'job',
          src: 'job',
          onDone: { target: 'idle', actions: 'done' },
          onError: { target: 'idle', actions: 'failed' },
        },
      },
    },
  },
  {
    actors: { job: job('job') },
    actions: {
      note: see(({ event }) => event.text),
      bad: change(() => {
        throw new Error('bad')
      }),
      arm: raise({ type: 'RING' }, { delay: ALARM_MS, id: 'ring' }),
      rang: see('rang'),
      inIdle: see('+idle'),
      inWorking: see('+working'),
      done: see('done'),
      failed: see('failed'),
    },
  },
)

export type Operation =
  | { do: 'NOTE' | 'BAD' | 'WORK' | 'ARM' }
  | { do: 'pause'; timers: 'run' | 'freeze'; interrupt: boolean }
  | { do: 'resume'; retry?: true; state?: 'idle' | 'working' }
  /** A worker asks for the task. */
  | { do: 'start' }
  /** The worker reports with the last token that it was given. */
  | { do: 'done' | 'aborted' | 'permanent' }
  | { do: 'wait'; ms: number }
  | { do: 'crash' }

type Arrival =
  | { kind: 'note'; text: string }
  | { kind: 'bad'; tried?: true }
  | { kind: 'work' | 'arm' }
  | { kind: 'ring'; alarm: number }
  | { kind: 'done' | 'aborted' | 'permanent'; task: number }

type TaskState = 'queued' | 'running' | 'interrupted' | 'result-kept'

export class Reference {
  nowMs: number
  state: 'idle' | 'working' = 'idle'
  readonly seen: string[] = ['+idle']
  paused: 'run' | 'freeze' | undefined
  parked = false
  kept: Arrival[] = []
  task: { number: number; state: TaskState; token: number } | undefined
  alarm: { number: number; dueAt: number; frozenMs: number | undefined; kept: boolean } | undefined
  /** Notes that were taken, in order: each has to be seen once in the end. */
  notes = 0
  /** What the worker holds: the number of the task and of the attempt. */
  held: { task: number; token: number } | undefined
  #numbers = 0

  constructor(nowMs: number) {
    this.nowMs = nowMs
  }

  get holding(): boolean {
    return this.paused !== undefined || this.parked || this.kept.length > 0
  }

  /** What the caller is told. */
  apply(operation: Operation): string {
    switch (operation.do) {
      case 'NOTE':
        return this.#send({ kind: 'note', text: `${this.notes++}` })
      case 'BAD':
        return this.#send({ kind: 'bad' })
      case 'WORK':
        return this.#send({ kind: 'work' })
      case 'ARM':
        return this.#send({ kind: 'arm' })
      case 'pause':
        return this.#pause(operation)
      case 'resume':
        return this.#resume(operation)
      case 'start':
        return this.#start()
      case 'wait':
        return this.#wait(operation.ms)
      case 'crash':
        return 'ok'
      default:
        return this.#report(operation.do)
    }
  }

  #send(arrival: Arrival): string {
    const ignored = arrival.kind === 'work' && this.state === 'working'
    if (this.#arrive(arrival) === 'kept') return `kept ${this.kept.length}`
    if (arrival.kind === 'bad') return 'parked'
    return ignored ? 'ignored' : 'ok'
  }

  #arrive(arrival: Arrival): 'kept' | 'stepped' {
    if (this.holding) {
      this.kept.push(arrival)
      return 'kept'
    }
    this.#step(arrival)
    return 'stepped'
  }

  #step(arrival: Arrival): void {
    switch (arrival.kind) {
      case 'note':
        this.seen.push(arrival.text)
        return
      case 'bad':
        this.parked = true
        return
      case 'work':
        if (this.state === 'idle') this.#enter('working')
        return
      case 'arm': {
        const number = this.#numbers++
        this.alarm = { number, dueAt: this.nowMs + ALARM_MS, frozenMs: undefined, kept: false }
        return
      }
      case 'ring':
        if (this.alarm?.number !== arrival.alarm) return
        this.alarm = undefined
        this.seen.push('rang')
        return
      default:
        this.#end(arrival.kind, arrival.task)
    }
  }

  /** A completion counts when its task is still the one that is wanted. */
  #end(kind: 'done' | 'aborted' | 'permanent', task: number): void {
    if (this.task?.number !== task) return
    this.task = undefined
    if (kind === 'permanent') {
      this.parked = true
      return
    }
    this.seen.push(kind === 'done' ? 'done' : 'failed')
    this.#enter('idle')
  }

  /** Leaving a state gives its task up; entering it asks for a new one. */
  #enter(state: 'idle' | 'working'): void {
    this.state = state
    this.seen.push(`+${state}`)
    const number = this.#numbers++
    this.task = state === 'working' ? { number, state: 'queued', token: -1 } : undefined
  }

  #pause({ timers, interrupt }: Operation & { do: 'pause' }): string {
    if (this.paused && !interrupt) return 'conflict'
    this.paused ??= timers
    const { alarm, task } = this
    if (this.paused === 'freeze' && alarm && !alarm.kept)
      alarm.frozenMs ??= Math.max(0, alarm.dueAt - this.nowMs)
    if (interrupt && task?.state === 'running') task.state = 'interrupted'
    return 'ok'
  }

  #resume({ retry, state }: Operation & { do: 'resume' }): string {
    if (!state && !retry && !this.paused && !this.parked) return 'conflict'
    const again = this.parked || retry
    this.paused = undefined
    this.parked = false
    if (state) this.#enter(state)
    else if (again) this.#enter(this.state)
    const { alarm, task } = this
    if (alarm?.frozenMs !== undefined) {
      alarm.dueAt = this.nowMs + alarm.frozenMs
      alarm.frozenMs = undefined
    }
    if (task?.state === 'interrupted') task.state = 'queued'
    while (this.kept.length > 0 && !this.parked) this.#stepKept(this.kept.shift()!)
    return 'ok'
  }

  /** Its sender was told that it is kept: what fails is tried once more by the next resume. */
  #stepKept(arrival: Arrival): void {
    this.#step(arrival)
    if (arrival.kind === 'bad' && !arrival.tried) this.kept.unshift({ kind: 'bad', tried: true })
  }

  #start(): string {
    if (!this.task) return 'task-gone'
    if (this.paused || this.parked || this.task.state !== 'queued') return 'task-held'
    this.task.state = 'running'
    this.task.token = this.#numbers++
    this.held = { task: this.task.number, token: this.task.token }
    return 'ok'
  }

  #report(kind: 'done' | 'aborted' | 'permanent'): string {
    const { task, held } = this
    if (!held) return 'nothing to report'
    if (task?.number !== held.task) return 'task-gone'
    if (task.state !== 'running' || task.token !== held.token) return 'task-stale'
    if (this.#arrive({ kind, task: task.number }) === 'kept') task.state = 'result-kept'
    return 'ok'
  }

  #wait(ms: number): string {
    this.nowMs += ms
    const { alarm } = this
    if (!alarm || alarm.kept || alarm.frozenMs !== undefined || alarm.dueAt > this.nowMs)
      return 'ok'
    if (this.#arrive({ kind: 'ring', alarm: alarm.number }) === 'kept') alarm.kept = true
    return 'ok'
  }
}
