/** Time, as the rest of the system may know it. The simulator owns it in tests. */
export interface Clock {
  /** Wall clock in unix ms; may jump. */
  now(): number
  /** Milliseconds of a clock that never jumps; only differences mean something. */
  monotonic(): number
  /** Calls once after `delayMs`; the result cancels. Delays of any length are allowed. */
  after(delayMs: number, call: () => void): () => void
  /** Calls once after what is happening now, before waiting for anything. Calls keep their order. */
  defer(call: () => void): void
}
