/**
 * That a command does not begin beside one that it replaces.
 *
 * An actor that gives up its command and wants it again gets a new attempt at once, while the process
 * group of the old one has its grace (`killGraceMs`), and a cancel may still be on its way. Both would
 * write to the same places.
 *
 * Decides: which commands replace each other (the same task of the same actor), that the owner is asked
 * about one that runs before another begins, and that what is being ended comes to its end first. Two
 * that are both wanted run side by side. Leaves to others: ending them, and other workers: nobody but
 * its own worker sees the processes of a command, so elsewhere the next attempt may begin at once.
 */
import type { TaskMessage } from '../ports/index.ts'
import { addressOfEffect } from '../protocol/index.ts'
import type { RunningAttempt } from './attempt.ts'
import type { AttemptRecord } from './attempt-files.ts'

type Replaceable = Pick<AttemptRecord, 'address' | 'name'>

export interface RivalsDeps {
  running: () => Iterable<RunningAttempt>
  /** Asks the owner whether the attempt is still wanted, and aborts it when it is not. */
  ask: (attempt: RunningAttempt) => Promise<'answered' | 'unclear'>
}

export class Rivals {
  readonly #deps: RivalsDeps
  /** What is being ended, or may have to be. */
  readonly #ending = new Set<Replaceable>()

  constructor(deps: RivalsDeps) {
    this.#deps = deps
  }

  /** Nothing that replaces the attempt begins before the function that this returns is called. */
  hold({ address, name }: Replaceable): () => void {
    const entry = { address, name }
    this.#ending.add(entry)
    return () => void this.#ending.delete(entry)
  }

  /** What the actor wants next may begin at once: it replaces nothing that is here. */
  isAlone(attempt: Replaceable): boolean {
    const isSame = sameAs(attempt)
    for (const { record } of this.#deps.running()) if (isSame(record)) return false
    return ![...this.#ending].some(isSame)
  }

  /**
   * Whether a command has to come to its end before this task may begin here.
   * @param own the attempt that asks, when it is among those that run
   */
  async standAgainst(
    { taskId, name }: Pick<TaskMessage, 'taskId' | 'name'>,
    own?: RunningAttempt,
  ): Promise<boolean> {
    const isSame = sameAs({ address: addressOfEffect(taskId), name })
    const rivals = [...this.#deps.running()].filter(
      (attempt) => attempt !== own && mayHaveCommand(attempt) && isSame(attempt.record),
    )
    const answers = await Promise.all(
      rivals.map((attempt) => (attempt.aborted === undefined ? this.#deps.ask(attempt) : 'ending')),
    )
    // Looked at after the answers, which may have found one that is not wanted any more.
    const isEnding = rivals.some((attempt) => attempt.aborted !== undefined)
    return isEnding || answers.includes('unclear') || [...this.#ending].some(isSame)
  }
}

/** Whether another replaces it, and is replaced by it. */
function sameAs({ address, name }: Replaceable): (other: Replaceable) => boolean {
  return (other) => other.address === address && other.name === name
}

/** One that can be attached to again is about to have one, or it has been left to this process. */
function mayHaveCommand({ hasCommand, task }: RunningAttempt): boolean {
  return hasCommand || task.reattach === true
}
