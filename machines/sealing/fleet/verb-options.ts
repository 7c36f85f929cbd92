/** Options that several verbs of this room have, and the form that they ask for. */
import { TroupeError, type VerbCall } from '../../../src/verbs.ts'

export const TOKEN_OPTION = {
  flags: '--worker-token-file <file>',
  description: "a file with the worker's own token (or SEALING_WORKER_TOKEN_FILE)",
} as const

/** For verbs that learn from pings where workers are. */
export const TOKEN_HOST_OPTION = {
  flags: '--worker-host <host...>',
  description: 'hosts, or host:port, that may be sent the token in clear; this machine always may',
} as const

export const FORMAT_OPTION = {
  flags: '--format <form>',
  description: 'v0.2: as the old tools print it, byte for byte',
} as const

/** @throws TroupeError `malformed` */
export function isOldForm({ options }: VerbCall): boolean {
  const { format } = options
  if (format === undefined) return false
  if (format === 'v0.2') return true
  throw new TroupeError('malformed', '--format is v0.2, or left out')
}
