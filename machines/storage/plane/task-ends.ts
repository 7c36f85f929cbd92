/** What the events say that end a task: the types of a machine's own events name none of them. */
import type { ErrorRecord } from '../../../src/index.ts'

export function outputOf<TOutput>(event: unknown): TOutput {
  return (event as { output: TOutput }).output
}

/** Why the platform gave a task up, such as a node that died too often. */
export function failureOf(event: unknown): string {
  const { error } = event as { error?: Partial<ErrorRecord> }
  return error?.message ?? 'a task was given up'
}
