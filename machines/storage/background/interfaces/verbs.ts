/** All verbs of the background tasks. Loads no package: commands have to start fast. */
import type { AppVerb } from '../../../../src/verbs.ts'
import { diskJobVerbs } from './disk-verbs.ts'
import { statsVerbs } from './stats-verbs.ts'
import { switchVerbs } from './switch-verbs.ts'
import { taskVerbs } from './task-verbs.ts'

export const backgroundVerbs: readonly AppVerb[] = [
  ...statsVerbs,
  ...taskVerbs,
  ...diskJobVerbs,
  ...switchVerbs,
]
