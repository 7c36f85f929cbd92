/**
 * Small facts that all nodes share: create-once claims (how epochs are won) and last-value hints.
 *
 * Decides: that only `claim` may decide anything. A hint may be stale and a watch may miss changes;
 * whoever uses one has to read again from time to time.
 */
export interface Registry {
  /** Creates `key` if nobody ever did. */
  claim(key: string, value: Uint8Array, done: (outcome: ClaimOutcome) => void): void
  /** Sets the last value of `key`. */
  put(key: string, value: Uint8Array, done: (outcome: 'put' | 'unknown') => void): void
  get(key: string, done: (outcome: RegistryReadOutcome) => void): void
  /** Keys that begin with `prefix`, in order. */
  list(prefix: string, done: (outcome: RegistryListOutcome) => void): void
  /** Removes a key; a removed claim could be won again, so callers keep the highest they have seen. */
  remove(key: string, done: (outcome: 'removed' | 'unknown') => void): void
  /** Calls on changes of keys that begin with `prefix`: a hint, never a promise. */
  watch(prefix: string, changed: (key: string) => void): { stop(): void }
}

export type ClaimOutcome =
  | { kind: 'won' }
  | { kind: 'lost'; value: Uint8Array }
  | { kind: 'unknown'; why: string }

export type RegistryReadOutcome =
  | { kind: 'found'; value: Uint8Array }
  | { kind: 'absent' }
  | { kind: 'unknown'; why: string }

export type RegistryListOutcome =
  | { kind: 'listed'; entries: { key: string; value: Uint8Array }[] }
  | { kind: 'unknown'; why: string }
