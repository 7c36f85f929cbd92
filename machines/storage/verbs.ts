/** All verbs `troupe storage`, of all rooms. */
import type { AppVerb } from '../../src/verbs.ts'
import { backgroundVerbs } from './background/interfaces/verbs.ts'
import { accessVerbs } from './plane/access/verbs.ts'
import { blobnodeVerb } from './plane/blobnode/verb.ts'
import { diskVerbs } from './plane/disks/verbs.ts'
import { volumeVerbs } from './plane/volumes/verbs.ts'

export const storageVerbs: readonly AppVerb[] = [
  ...accessVerbs,
  blobnodeVerb,
  ...diskVerbs,
  ...volumeVerbs,
  ...backgroundVerbs,
]
