/** Randomness. The simulator seeds it. */
export interface Random {
  /** In [0, 1). */
  fraction(): number
  /** A string of 22 characters from [A-Za-z0-9_-], unguessable in production: ids and tokens. */
  id(): string
}
