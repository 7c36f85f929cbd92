/** The apps that ship with Troupe, in the order in which they are registered. */
import type { App } from '../src/index.ts'
import { jobs } from './jobs/index.ts'

export const apps: readonly App[] = [jobs]
