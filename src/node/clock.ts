/** The clock that a program beside a node may use: the only door to that adapter. */
import { SystemClock } from '../adapters/system/light.ts'
import type { Clock } from '../ports/index.ts'

export function systemClock(): Clock {
  return new SystemClock()
}
