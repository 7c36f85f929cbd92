/** `troupe worker` with the families that ship with Troupe, to be killed by tests. */
import './clock-ahead.ts'
import { apps } from '../../../machines/index.ts'
import { runCli } from '../../../src/cli/index.ts'

process.exit(await runCli({ apps, argv: ['worker', ...process.argv.slice(2)] }))
