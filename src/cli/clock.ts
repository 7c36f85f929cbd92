/** The clock of verbs, which wait at most minutes. */
import { systemClock } from '../node/index.ts'

export const verbClock = systemClock()
