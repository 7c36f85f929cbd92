/**
 * Memory for bodies. Decides: that what is freed stays with the process for the next body, and that bodies which
 * come and go do not begin a collection of all that lives. The allocator of
 * glibc hands buffers of more than 128 KiB back to the kernel at once, and each page of the next one comes
 * as a fault: that took four times as long as copying the bytes (900 and 200 µs for 1 MB). It has a rule of
 * its own against that: the largest buffer that was ever freed, up to 32 MiB, is what counts as large from
 * then on, and twice as much is kept free. Other allocators take no notice.
 */

import { setFlagsFromString } from 'node:v8'

/** A little less than 32 MiB: what the allocator adds must fit. Untouched, so it takes no memory. */
const LARGEST_BYTES = 31 * 1024 ** 2

let hasTold = false

/** Once for the process; from the next collection on. */
export function keepFreedMemory(): void {
  if (hasTold) return
  hasTold = true
  // Nobody has it, so it is freed.
  new ArrayBuffer(LARGEST_BYTES)
}

/**
 * Of what lives. V8 sets how much may come beside it from 10 to 300, no more than 30 while it takes a process for one
 * that grows slowly, and counts buffers among it: in a blobnode at work it was so low that with 25 MB alive each
 * 7 MB of bodies began a collection, three a second, which took a sixth of the CPU while chunks were made anew.
 * With the flag it is this in every case, also where V8 would save memory; half the way to the largest heap bounds it.
 */
const GROWTH_PERCENT = 300

/** From now on, for a process that moves bytes and does little else. */
export function collectSeldom(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`)
}
