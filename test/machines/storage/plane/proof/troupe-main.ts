/** The command with what the store needs, to be a node or a blobnode in a process of its own. */
import { platform } from '../../../../../machines/platform/index.ts'
import { storage } from '../../../../../machines/storage/index.ts'
import { runCli } from '../../../../../src/cli/index.ts'

process.exit(await runCli({ apps: [platform, storage], argv: process.argv.slice(2) }))
