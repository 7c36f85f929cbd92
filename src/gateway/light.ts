/** What of this room loads no package: for programs that must start fast. */
export { notADuration, parseDurationMs } from './duration.ts'
