export { type CliOptions, runCli } from './run.ts'
export type { Terminal } from './terminal.ts'
