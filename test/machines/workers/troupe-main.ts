/** The command with the families of these tests. */
import { workers } from '../../../machines/workers/index.ts'
import { runCli } from '../../../src/cli/index.ts'
import { commands } from './commands.ts'

process.exit(await runCli({ apps: [commands, workers], argv: process.argv.slice(2) }))
