/**
 * How the work of a processor fails. Decides: the kinds. Leaves to others: which of them are tried
 * again (the steps do: all but `refused`, which says that the input itself is wrong), and which wait
 * without counting (`unhealthy`).
 */
export type ProcessorErrorKind =
  /** The processor answered with an error, or there is none for that stage. */
  | 'refused'
  /** It answered with an error, and that the same request may do well later. */
  | 'unavailable'
  /** The child died while it worked on it. */
  | 'exited'
  | 'timed-out'
  | 'cancelled'
  /** No child was up for too long, or the lane is not configured any more. */
  | 'unhealthy'
  /** The child answered, but not in a way that can be read. */
  | 'bad-reply'

export class ProcessorError extends Error {
  override readonly name = 'ProcessorError'
  readonly kind: ProcessorErrorKind
  readonly stage: string
  /** The child, where one was concerned. */
  readonly lane: string | null

  constructor(
    kind: ProcessorErrorKind,
    message: string,
    { stage, lane = null, cause }: { stage: string; lane?: string | null; cause?: unknown },
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.kind = kind
    this.stage = stage
    this.lane = lane
  }
}

/** What a thrown value says, in one line. */
export function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
