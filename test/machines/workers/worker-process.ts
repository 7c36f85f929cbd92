/** `troupe worker` with the family of these tests, to be killed by them. */
import { runCli } from '../../../src/cli/index.ts'
import { commands } from './commands.ts'

process.exit(await runCli({ apps: [commands], argv: ['worker', ...process.argv.slice(2)] }))
