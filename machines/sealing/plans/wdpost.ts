/** The plan `wdpost`: a proof that sectors are still there. A table; nothing is decided here. */
import type { Plan } from './table.ts'

export const WDPOST: Plan = {
  name: 'wdpost',
  states: {
    Empty: { stage: null, on: { Allocated: 'Allocated' }, inputs: [] },
    Allocated: {
      stage: 'WindowPoSt',
      gate: 'window_post',
      on: { Generate: 'Generated' },
      inputs: ['job'],
    },
    Generated: { stage: 'SubmitPoSt', on: { Finish: 'Finished' }, inputs: ['job', 'jobOutput'] },
    Finished: { stage: null, on: {}, inputs: ['job'] },
    Aborted: { stage: null, on: {}, inputs: ['job'], offered: true },
  },
  submissions: [],
  clears: {},
}
