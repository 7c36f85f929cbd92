/** The apps that ship with Troupe, in parts: for the command, which loads what it is asked for. */
import type { LazyApp } from '../src/verbs.ts'
import { lazyJobs } from './jobs/light.ts'
import { lazyPlatform } from './platform/light.ts'
import { lazySealingWith } from './sealing/light.ts'
import { lazyStorage } from './storage/light.ts'
import { lazyWorkers } from './workers/light.ts'

export const lazyApps: readonly LazyApp[] = [
  lazyJobs,
  lazyPlatform,
  lazySealingWith(async () => [await lazyPlatform.load()]),
  lazyStorage,
  lazyWorkers,
]
