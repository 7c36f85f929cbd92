/** Runs in each worker before a test file: every property test draws from the seed of the run. */
import fc from 'fast-check'
import { inject } from 'vitest'

fc.configureGlobal({ seed: inject('seed') })
