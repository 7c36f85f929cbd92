/**
 * A thread of the erasure code: takes one job after the other from `threads.ts` and does it, in memory that
 * both sides see. Decides: nothing. What goes wrong here ends the thread: its WebAssembly may be in any
 * state then, and the job is done again by another one.
 */
import { parentPort } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { copyBytes } from './copy-bytes.ts'
import type { Step } from './rebuild-plan.ts'
import { ReedSolomon } from './reed-solomon.ts'

export interface ThreadJob {
  id: number
  /** All units of one blob, one after the other. */
  memory: SharedArrayBuffer
  shardBytes: number
  steps: readonly Step[]
  /** Of these units the checksum is told, when all steps are done. */
  checksums: readonly number[]
}

export interface ThreadAnswer {
  id: number
  checksums: number[]
}

function answerTo(code: ReedSolomon, job: ThreadJob): ThreadAnswer {
  const { id, memory, shardBytes, steps } = job
  const units = new Uint8Array(memory)
  const bytesOf = (unit: number) => units.subarray(unit * shardBytes, (unit + 1) * shardBytes)
  for (const step of steps) {
    if (step.kind === 'code') code.run(step, units, shardBytes)
    else for (const unit of step.wanted) copyBytes(bytesOf(unit), 0, bytesOf(step.source))
  }
  return { id, checksums: job.checksums.map((unit) => crc32(bytesOf(unit))) }
}

const port = parentPort
if (port) {
  const code = ReedSolomon.load()
  port.on('message', (job: ThreadJob) => port.postMessage(answerTo(code, job)))
  port.postMessage('ready')
}
