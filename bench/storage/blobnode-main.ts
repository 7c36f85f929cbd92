/** The command with the verb of blobnodes alone. */
import { blobnodeVerb } from '../../machines/storage/plane/blobnode/verb.ts'
import { runCli } from '../../src/cli/index.ts'
import { defineApp } from '../../src/index.ts'

const storage = defineApp({
  name: 'storage',
  verbs: [blobnodeVerb],
  verbGroups: { storage: 'blobs in erasure-coded volumes' },
})
process.exit(await runCli({ apps: [storage], argv: process.argv.slice(2) }))
