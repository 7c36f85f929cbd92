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

/** Most of it on virtual time: none of it waits, so other things may be computed beside it. */
const COMPUTING = [
  'test/{bench,client,cluster,golden,machine,paths,properties,protocol,repo,shard,simulation}/*.test.ts',
  'test/machines/sealing/{plans,thread}/*.test.ts',
  'test/machines/platform/{pool,semaphore*}.test.ts',
  'test/machines/storage/plane/{codes,disks,volumes}/*.test.ts',
  'test/machines/storage/{windows,background/{balance,lanes,moves}}/*.test.ts',
]
/** What loads both processors for long, or judges the heap or the threads of its own process. */
const ALONE = [
  'test/model/*.test.ts',
  'test/adapters/system/*.test.ts',
  'test/machines/sealing/farm/*.test.ts',
  'test/machines/storage/plane/{erasure,proof}/*.test.ts',
  'test/machines/storage/background/proof/*.test.ts',
]
const ALL = ['test/**/*.test.ts']
/**
 * The parts of the test command. Files of the first two share a process, which loads what they import once and not
 * for each file: a file of these leaves nothing behind. `serving`: nodes, gateways, clients and children.
 */
const PARTS = {
  computing: { include: COMPUTING, exclude: [], isolate: false },
  serving: { include: ALL, exclude: [...COMPUTING, ...ALONE], isolate: false },
  alone: { include: ALONE, exclude: [], isolate: true },
}
/** Set by test/run.ts. Without it, all files run, each in a process of its own. */
const partName = process.env['TROUPE_TEST_PART']
const part = Object.entries(PARTS).find(([name]) => name === partName)?.[1]

/** A folder for translated sources, set by test/run.ts for as long as it runs. */
const modules = process.env['TROUPE_TEST_MODULES']

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: isLong ? [LONG_FILES] : (part?.include ?? ALL),
    exclude: [
      ...['**/node_modules/**', FIXTURES],
      ...(isLong ? [] : [LONG_FILES]),
      ...(part?.exclude ?? []),
    ],
    ...(modules !== undefined && {
      experimental: { fsModuleCache: true, fsModuleCachePath: modules },
    }),
    pool: 'forks',
    isolate: part?.isolate ?? true,
    // What serves and what runs alone waits for a third of its time: for timers, disks and processes.
    maxWorkers: partName === 'serving' || partName === 'alone' ? 3 : 2,
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
