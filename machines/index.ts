/** The apps that ship with Troupe, in the order in which they are registered. */
import type { App } from '../src/index.ts'
import { jobs } from './jobs/index.ts'
import { platform } from './platform/index.ts'
import { sealingWith } from './sealing/index.ts'
import { storage } from './storage/index.ts'
import { workers } from './workers/index.ts'

export const apps: readonly App[] = [jobs, platform, sealingWith([platform]), storage, workers]
