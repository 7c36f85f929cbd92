/**
 * Vitest for both tiers. Decides: which files belong to which tier, their order, and the time a test may take.
 * The long tier is chosen by TROUPE_TIER=long, which test/run.ts sets.
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './longest-first.ts'

const isLong = process.env['TROUPE_TIER'] === 'long'
const LONG_FILES = 'test/**/*.long.test.ts'
const FIXTURES = 'test/repo/fixtures/**'

/**
 * What the test command runs apart from the rest. Their files share a process, which loads what they import once and
 * not for each file: a file of these leaves nothing behind.
 */
const SHARING = {
  /** Most of it on virtual time: none of it waits, so other things may be computed beside it. */
  computing: [
    'test/{bench,client,cluster,golden,machine,paths,properties,protocol,repo,shard,simulation}/*.test.ts',
    'test/machines/sealing/{plans,thread}/*.test.ts',
    'test/machines/platform/{pool,semaphore*}.test.ts',
    'test/machines/storage/plane/{codes,disks,volumes}/*.test.ts',
    'test/machines/storage/{windows,background/{balance,lanes,moves}}/*.test.ts',
  ],
  /** Nodes, gateways, NATS clients and children in the process of the test. */
  serving: [
    'test/{adapters/nats,cli,contract,gateway,node}/*.test.ts',
    'test/machines/{jobs,workers}/*.test.ts',
    'test/machines/platform/{bulk*,pools}.test.ts',
    'test/machines/sealing/{chain,daemon,fleet,history,manager,processors,prover,steps,stores,wdpost}/*.test.ts',
    'test/machines/storage/plane/{access,blobnode,disk-files,upkeep}/*.test.ts',
    'test/machines/storage/{switches,background/{disk-jobs,inspect,interfaces,worker}}/*.test.ts',
  ],
}
/** Set by test/run.ts. Without it, all files run, each in a process of its own. */
const part = process.env['TROUPE_TEST_PART']
const sharing = Object.entries(SHARING).find(([name]) => name === part)?.[1]

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: isLong ? [LONG_FILES] : [...(sharing ?? ['test/**/*.test.ts'])],
    exclude: [
      ...['**/node_modules/**', FIXTURES],
      ...(isLong ? [] : [LONG_FILES]),
      ...(part === 'alone' ? Object.values(SHARING).flat() : []),
    ],
    pool: 'forks',
    isolate: sharing === undefined,
    // What serves and what runs alone waits for a third of its time: for timers, disks and processes.
    maxWorkers: part === 'serving' || part === 'alone' ? 3 : 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: isLong ? 600_000 : 60_000,
    hookTimeout: isLong ? 120_000 : 60_000,
    slowTestThreshold: 1_000,
    // Real processes on a busy machine may miss a deadline: once more, and the report marks it. What depends
    // on a seed fails again, since the second try has the same one.
    retry: isLong ? 0 : 1,
    globalSetup: ['test/seed.ts'],
    setupFiles: ['test/setup.ts'],
    // Here only the type tests count; the test command has all sources judged in the same go.
    typecheck: {
      enabled: !isLong,
      checker: fileURLToPath(new URL('tsc.sh', import.meta.url)),
      include: ['test/**/*.test-d.ts'],
      exclude: [FIXTURES],
      tsconfig: 'tsconfig.json',
      ignoreSourceErrors: true,
    },
  },
})
