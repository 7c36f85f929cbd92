/** The command with what sealing needs, to be a node, a worker or a processor in a process of its own. */
import { platform } from '../../../../machines/platform/index.ts'
import { sealingWith } from '../../../../machines/sealing/index.ts'
import { workers } from '../../../../machines/workers/index.ts'
import { runCli } from '../../../../src/cli/index.ts'

process.exit(
  await runCli({ apps: [platform, workers, sealingWith([platform])], argv: process.argv.slice(2) }),
)
