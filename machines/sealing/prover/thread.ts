/**
 * A thread of the prover: takes one job after the other from `threads.ts` and does it. Decides: nothing.
 * Whoever cancels a job ends the thread: no output file is ever half there.
 */
import { parentPort } from 'node:worker_threads'
import { type Failure, failureOf } from './refusal.ts'
import { runStage } from './stages.ts'
import type { ProverStage } from './tasks.ts'

export interface ThreadJob {
  stage: ProverStage
  task: unknown
}

export type ThreadAnswer =
  | { kind: 'progress'; progress: Progress }
  | { kind: 'output'; output: unknown }
  | { kind: 'failure'; failure: Failure }

export interface Progress {
  done: number
  of: number
  what: string
}

const port = parentPort
port?.on('message', ({ stage, task }: ThreadJob) => {
  const answer = (one: ThreadAnswer) => port.postMessage(one)
  runStage(stage, task, (done, of, what) => {
    answer({ kind: 'progress', progress: { done, of, what } })
  }).then(
    (output) => answer({ kind: 'output', output }),
    (thrown: unknown) => answer({ kind: 'failure', failure: failureOf(thrown) }),
  )
})
