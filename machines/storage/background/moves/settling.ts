/**
 * Whether a new chunk has what it should have, and nothing that it should not. Decides: which of its shards are
 * of blobs that were deleted while it was filled, and which ones it lacks, by what the other units say. Leaves
 * to others: what is done about them (`settle-task.ts`). Pure.
 *
 * Who has marked a shard says that its blob is deleted. Of a blob whose deletion is complete nobody says
 * anything: its units have nothing. But so it is with one that they have lost, of which the new chunk may have
 * all that is left: absence alone proves nothing, and its deletion has to be known elsewhere, too.
 */
import { type CodeMode, readsNeeded } from '../../plane/codes/index.ts'
import type { Said } from './shard-lists.ts'

export type Verdict =
  | 'well'
  /** Its blob is deleted, as far as the others are. */
  | 'deleting'
  /** Nobody else has anything of it any more, and it was marked. */
  | 'deleted'
  /** Those who have it still are too few to make it up, and none has marked it: deleted, or lost. */
  | 'vanishing'
  /** Nobody else has it, and nobody has marked it: deleted, or lost. */
  | 'vanished'
  /** It is marked, and that is all that there is to do as long as others have it. */
  | 'marked'
  /** Others have it, enough to make it up unless those who are silent do not, and the new chunk does not. */
  | 'lacking'

/** @param own of the new chunk @param others of all other units, with their indexes */
export function verdictOf(
  mode: CodeMode,
  own: Said,
  others: readonly { index: number; said: Said }[],
): Verdict {
  const count = (wanted: Said) => others.filter(({ said }) => said === wanted).length
  const isMarked = count('marked') > 0
  // Who is silent may have it.
  const isAnywhere = count('whole') + count('nothing') > 0
  if (own === 'marked') return isAnywhere || isMarked ? 'marked' : 'deleted'
  if (own === 'whole') {
    if (isMarked) return 'deleting'
    // A blob of which one further shard would be enough may live.
    const byItself = mode.kind === 'erasure' ? 1 : 0
    const isReadable = count('whole') + count('nothing') + byItself >= readsNeeded(mode)
    if (isReadable) return 'well'
    return isAnywhere ? 'vanishing' : 'vanished'
  }
  if (isMarked) return 'well'
  // Who is silent may have it as well: asking for a repair that is not needed costs less than a shard that nobody
  // misses. What nobody is known to have, or too few can have, was deleted or never whole.
  const global = mode.data + mode.parity
  const counted = others.filter(({ index }) => index < global)
  const whole = counted.filter(({ said }) => said === 'whole').length
  const silent = counted.filter(({ said }) => said === 'nothing').length
  return whole > 0 && whole + silent >= readsNeeded(mode) ? 'lacking' : 'well'
}
