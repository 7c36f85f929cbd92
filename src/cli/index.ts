export { runCli, type CliOptions } from './run.ts'
export type { Terminal } from './terminal.ts'
