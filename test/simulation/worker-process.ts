/** What a world asks of a worker, whichever it is: the stand-in (worker.ts) or the real one. */
export interface WorkerProcess {
  readonly name: string
  /** Attempts that are not at their end. */
  readonly open: number
  /** For stories: how long its work takes and how it ends, instead of by chance. */
  plan: WorkPlan | undefined
  start(): void
  crash(): void
  freeze(): void
  thaw(): void
}

export interface WorkPlan {
  ms: number
  /** From 0 to 1: most of it is success, the rest one of the failures. */
  fate: number
}

const SUCCESS_SHARE = 0.75
const WORK_MAX_MS = 6_000

export function failureAt(fate: number): 'temporary' | 'permanent' | 'aborted' | undefined {
  if (fate < SUCCESS_SHARE) return undefined
  if (fate < 0.92) return 'temporary'
  return fate < 0.96 ? 'permanent' : 'aborted'
}

export function workMs({ ms }: WorkPlan): number {
  return Math.min(ms, WORK_MAX_MS)
}
