/**
 * The stages as those of a daemon without children for them. Decides: which failures may pass by
 * themselves, so that the thread of the sector tries again and nobody is called.
 */
import { TroupeError } from '../../../src/index.ts'
import { type InnerHandler, ProcessorError } from '../processors/index.ts'
import { PROVER_STAGES, type ProverStage } from './tasks.ts'
import type { ProverThreads } from './threads.ts'

/** One handler per stage, for `Processors.registerInner`. */
export function proverHandlers(threads: ProverThreads): [stage: string, handler: InnerHandler][] {
  return PROVER_STAGES.map((stage) => [stage, handlerOf(threads, stage)])
}

function handlerOf(threads: ProverThreads, stage: ProverStage): InnerHandler {
  return async (task, { signal, onProgress }) => {
    try {
      return await threads.run(stage, task, { signal, onProgress })
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || !thrown.retry) throw thrown
      throw new ProcessorError('unavailable', thrown.message, { stage, cause: thrown })
    }
  }
}
