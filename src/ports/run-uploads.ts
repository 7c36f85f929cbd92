/**
 * Where a worker in a process of its own brings what its commands write, so that it can be read on the
 * node, also after the worker's machine is gone.
 *
 * Decides: that bytes are brought in order and kept once, however often they are sent, and that what an
 * answer counts is on disk. Leaves to others: when to bring them (worker), how they travel.
 */
export interface RunUploads {
  /** Keeps what joins what it has, and tells how much that is. @throws TroupeError */
  bring(upload: RunUpload): Promise<RunKept>
}

export interface RunUpload {
  /** The name of the attempt, as its worker gave it. */
  run: string
  /** By which it is found among the runs of its actor. */
  number: number
  address: string
  taskId: string
  /** Proves, when it is brought for the first time, that the worker runs it. */
  token: string
  /** Unix ms. */
  startedAt: number
  parts: RunPart[]
  /** How the command ended, once it has and everything before is there. */
  end?: RunEnd
}

export interface RunPart {
  stream: 'stdout' | 'stderr'
  /** Where in the stream the bytes begin. */
  offset: number
  bytes: Uint8Array
}

export interface RunEnd {
  /** The record of the exit, word by word. */
  record: string
  /** Unix ms. */
  endedAt: number
  /** What the streams hold then. */
  sizes: RunSizes
}

export interface RunSizes {
  stdout: number
  stderr: number
}

/** What is kept of a run. */
export interface RunKept extends RunSizes {
  /** Streams of which no more will be kept; absent where none is. */
  full?: RunPart['stream'][]
}
