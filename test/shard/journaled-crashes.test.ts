/** Crashes, lost ends and full disks of the journaled path (scenarios beside this file). */
import { describe, it } from 'vitest'
import { crashes } from './journaled-crashes.ts'
import { REAL } from './journaled-nodes.ts'

describe('what survives', () => {
  it.each(Object.entries(crashes))('%s', (_name, scenario) => scenario(REAL))
})
