/**
 * `runProcess`: a command as the work of a task's attempt.
 *
 * Decides: that an attempt runs its command once in its own directory, however often its code is
 * called, and that under `rerun` no command lives when its owner may have started another.
 * Leaves to others: the process itself (`process/`), its logs (`logs/`), what an exit means (the task).
 *
 * The watchdog of a `rerun` command looks at a file that is touched whenever the owner accepts a
 * heartbeat, not whenever the worker lives: a worker that is cut off, or was restarted and cannot
 * reach the owner, must not keep a command alive beyond the lease.
 */
import { type TaskAttempt, TaskError } from '../machine/index.ts'
import { toErrorRecord } from '../protocol/index.ts'
import { type RunRuntime, runtimeOf } from './attempt-runtime.ts'
import { inspectRun, type ProcessExit, type ProcessSpec } from './process/index.ts'

export interface RunSpec extends Omit<ProcessSpec, 'orphanMs' | 'heartbeatFile'> {
  /** From SIGTERM to SIGKILL when the attempt is aborted. Default: the worker's `killGraceMs`. */
  killGraceMs?: number
  /** Which run of its actor it is, for whoever looks for its log (`RunFiles.all`). Default: the attempt. */
  number?: number
}

export interface RunResult extends ProcessExit {
  stdoutBytes: number
  stderrBytes: number
}

/**
 * The lease is at least this long away when the watchdog of a `rerun` command acts: it looks at
 * `orphanMs` * 1.25, the rest is for ending the group.
 */
const ORPHAN_SHARE = 1 / 2
/** SIGTERM to SIGKILL of an orphan: its lease runs out meanwhile. */
const ORPHAN_GRACE_SHARE = 1 / 8

/**
 * Runs a command in the directory of the attempt and waits for its end. A directory that was started
 * before is attached to, whatever `spec` says. When the attempt is aborted the process group is ended
 * and the reason thrown. An exit that is not 0 is a result, not an error.
 * @throws TaskError `permanent` when it cannot be known whether the command has run
 */
export async function runProcess(attempt: TaskAttempt<unknown>, spec: RunSpec): Promise<RunResult> {
  const runtime = runtimeOf(attempt, 'runProcess')
  const { directory, signal } = attempt
  if (!attempt.reattached) signal.throwIfAborted()
  else refuseUnknown(attempt, runtime)
  const { killGraceMs = runtime.killGraceMs, number = attempt.attempt, ...rest } = spec
  runtime.point(number)
  const run = await runtime
    .runner()
    .start(directory, { ...rest, ...watchdog(attempt, runtime, spec) })
  runtime.own(run)
  const kill = () => {
    run.kill({ graceMs: killGraceMs }).catch((cause: unknown) => {
      runtime.log.warn({ directory, error: toErrorRecord(cause) }, 'a command could not be ended')
    })
  }
  signal.addEventListener('abort', kill, { once: true })
  if (signal.aborted) kill()
  try {
    const exit = await run.exit()
    if (exit.reason !== 'exited') signal.throwIfAborted()
    const { stdout, stderr } = runtime.logs.of(directory).sizes()
    return { ...exit, stdoutBytes: stdout, stderrBytes: stderr }
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

/** Records of a run are not flushed: after a loss of power their absence proves nothing. */
function refuseUnknown(attempt: TaskAttempt<unknown>, runtime: RunRuntime): void {
  if (!runtime.rebooted || attempt.onWorkerLost === 'rerun') return
  if (inspectRun(attempt.directory).kind !== 'absent') return
  throw new TaskError(
    'permanent',
    'the machine was restarted and it is not known whether the command had begun; resume the actor to run it',
    { code: 'unknown-run' },
  )
}

function watchdog(
  attempt: TaskAttempt<unknown>,
  runtime: RunRuntime,
  spec: RunSpec,
): Pick<ProcessSpec, 'orphanMs' | 'heartbeatFile' | 'groupGraceMs'> {
  if (attempt.onWorkerLost !== 'rerun') return {}
  runtime.touchBeatFile()
  const graceMs = Math.floor(attempt.leaseMs * ORPHAN_GRACE_SHARE)
  return {
    orphanMs: Math.floor(attempt.leaseMs * ORPHAN_SHARE),
    heartbeatFile: runtime.beatFile,
    groupGraceMs: Math.min(spec.groupGraceMs ?? graceMs, graceMs),
  }
}
