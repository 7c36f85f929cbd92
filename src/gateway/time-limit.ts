/**
 * The time that a caller gives a request. Decides: that the caller is told `no-answer` when it is over,
 * whatever the work still does.
 */
import { TroupeError } from '../protocol/index.ts'

/** @param late ends the work, as far as it can be ended @throws TroupeError `no-answer` */
export async function withinTime<T>(
  timeoutMs: number | undefined,
  work: Promise<T>,
  late: () => void,
): Promise<T> {
  if (timeoutMs === undefined) return work
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      late()
      const why = `no answer within ${timeoutMs} ms (X-Troupe-Timeout-Ms); it may or may not have been done`
      reject(new TroupeError('no-answer', why))
    }, timeoutMs)
  })
  try {
    return await Promise.race([work, over])
  } finally {
    clearTimeout(timer)
  }
}
