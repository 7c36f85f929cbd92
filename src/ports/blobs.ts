/**
 * Large immutable values: checkpoints, logs and results (files, or JetStream's object store).
 * At the rim, so its methods return promises.
 */
export interface Blobs {
  /** Writes a value whole or not at all; it survives a crash once the promise resolves. */
  put(name: string, value: Uint8Array): Promise<void>
  /** A part of the value, or undefined when there is none of that name. */
  get(name: string, range?: { offset: number; length: number }): Promise<Uint8Array | undefined>
  /** The size in bytes, or undefined. */
  size(name: string): Promise<number | undefined>
  /** Names that begin with `prefix`, in order. */
  list(prefix: string): Promise<string[]>
  delete(name: string): Promise<void>
}
