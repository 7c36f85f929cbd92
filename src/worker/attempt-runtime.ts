/**
 * What the code of an attempt can reach of its worker, and of the node when it runs on one. Decides: where
 * an attempt keeps it. Leaves to others: what is done with it (`run-process.ts`, `task-node.ts`).
 */
import type { Client } from '../client/index.ts'
import { type HostedMachine, type TaskAttempt, TaskError } from '../machine/index.ts'
import type { Clock, Log } from '../ports/index.ts'
import type { Limits } from '../protocol/index.ts'
import type { LogStore } from './logs/index.ts'
import type { ProcessRunner, RunningProcess } from './process/index.ts'

/** Where an attempt keeps what `runProcess` needs of its worker. It survives a copy with spread. */
export const RUNTIME = Symbol('troupe.run-runtime')

export interface RunRuntime {
  /** Made when first needed: a worker without commands needs no /proc and no setsid. */
  runner(): ProcessRunner
  logs: LogStore
  log: Log
  killGraceMs: number
  /** Touched when the owner accepts a heartbeat; absolute. */
  beatFile: string
  touchBeatFile(): void
  /** True when the machine was restarted since the attempt began. */
  rebooted: boolean
  /** Makes the directory the newest run of the actor, found by this number. */
  point(number: number): void
  own(run: RunningProcess): void
  /** Of the worker, for the app of the task. */
  config: unknown
  /** Of a worker whose tasks run on nodes. */
  node: TaskNode | undefined
}

/** What a task that runs on a node (`runsOn`) has of it. */
export interface TaskNode {
  /** Its author is the address of the actor that asked; `as` names another. */
  readonly client: Client
  readonly clock: Clock
  readonly limits: Limits
  readonly machines: ReadonlyMap<string, HostedMachine>
}

/** @throws TaskError `permanent`, naming who needs it */
export function runtimeOf(attempt: TaskAttempt<unknown>, caller: string): RunRuntime {
  const runtime = (attempt as { [RUNTIME]?: RunRuntime })[RUNTIME]
  if (runtime) return runtime
  throw new TaskError('permanent', `${caller}() needs the attempt that the worker gave to run()`)
}
