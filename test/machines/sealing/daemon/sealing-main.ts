/** The command with the sealing apps of these tests. */
import { runCli } from '../../../../src/cli/index.ts'
import { sealingApps } from './sealing-apps.ts'

process.exit(await runCli({ apps: sealingApps, argv: process.argv.slice(2) }))
