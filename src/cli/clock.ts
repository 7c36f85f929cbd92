/** The clock of verbs, which wait at most minutes. */
import { systemClock } from '../node/light.ts'

export const verbClock = systemClock()
