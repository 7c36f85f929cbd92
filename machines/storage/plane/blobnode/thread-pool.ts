/**
 * The threads that work on files. Decides: how many a blobnode needs. They are four in Node.js for all files
 * of a process, so that of a dozen disks only four would work at a time, and four calls of one that stands
 * still would stop all others. Their number is fixed before any code of ours runs (the first file that is
 * read starts them), so all that can be done here is to say so.
 */

const POOL_DEFAULT = 4
/** One flushes, others read meanwhile. */
const THREADS_PER_DISK = 4
/** As libuv has it. */
const POOL_MAX = 1_024

/** What to do about too few of them; undefined when they suffice. */
export function threadAdvice(disks: number, env: NodeJS.ProcessEnv): string | undefined {
  const set = env['UV_THREADPOOL_SIZE'] ?? ''
  const threads = /^\d{1,4}$/.test(set) ? Number(set) : POOL_DEFAULT
  const wanted = Math.min(POOL_MAX, disks * THREADS_PER_DISK)
  if (threads >= wanted) return undefined
  return `${threads} threads work on the files of ${disks} disks: start it with UV_THREADPOOL_SIZE=${wanted}`
}
