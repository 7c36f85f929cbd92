/**
 * Memory for bodies. Decides: that what is freed stays with the process for the next body. The allocator of
 * glibc hands buffers of more than 128 KiB back to the kernel at once, and each page of the next one comes
 * as a fault: that took four times as long as copying the bytes (900 and 200 µs for 1 MB). It has a rule of
 * its own against that: the largest buffer that was ever freed, up to 32 MiB, is what counts as large from
 * then on, and twice as much is kept free. Other allocators take no notice.
 */

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
