/**
 * Vitest for both tiers. Decides: which files belong to which tier, and the time a test may take.
 * The long tier is chosen by TROUPE_TIER=long, which test/run.ts sets.
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const isLong = process.env['TROUPE_TIER'] === 'long'
const LONG_FILES = 'test/**/*.long.test.ts'
const FIXTURES = 'test/repo/fixtures/**'

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: isLong ? [LONG_FILES] : ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**', FIXTURES, ...(isLong ? [] : [LONG_FILES])],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: isLong ? 600_000 : 30_000,
    hookTimeout: isLong ? 120_000 : 30_000,
    slowTestThreshold: 1_000,
    // Real processes on a busy machine may miss a deadline: once more, and the report marks it. What depends
    // on a seed fails again, since the second try has the same one.
    retry: isLong ? 0 : 1,
    globalSetup: ['test/seed.ts'],
    setupFiles: ['test/setup.ts'],
    // `tsc` in `npm run check:types` already judges the sources; here only the type tests count.
    typecheck: {
      enabled: !isLong,
      include: ['test/**/*.test-d.ts'],
      exclude: [FIXTURES],
      tsconfig: 'tsconfig.json',
      ignoreSourceErrors: true,
    },
  },
})
