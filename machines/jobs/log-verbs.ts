/** The verbs that print what jobs wrote. */
import { toJson, type VerbCall, wait } from '../../src/verbs.ts'
import { describe, exitCodeOf, idOf, viewOf, viewWhenEnded } from './job-calls.ts'
import type { StreamBlock, StreamPart } from './streams.ts'

/** How often a log that is followed is asked for more. */
const FOLLOW_MS = 250

export async function printResult(call: VerbCall): Promise<number> {
  const view = await viewWhenEnded(call)
  let text = ''
  const write = (chunk: string) => {
    if (call.json) text += chunk
    else call.write(chunk)
  }
  await copyStream(call, 'stdout', { follow: false }, write)
  if (call.json) call.print(toJson({ ...view, stdout: text }))
  else if (view.status !== 'success') call.note(`Note: ${describe(view)[0]}`)
  return exitCodeOf(view)
}

/** Answers over the command line's connection are text, so bytes travel in blocks of base64. */
export async function printBytes(call: VerbCall): Promise<void> {
  const path = `/jobs/${idOf(call)}/bytes`
  const attempt = attemptOf(call)
  let offset = 0
  while (!call.signal.aborted) {
    const query = { stream: 'stdout', offset: String(offset), attempt }
    const { body } = await call.http({ method: 'GET', path, query })
    const { base64, offset: next, note } = body as StreamBlock
    if (next === offset) {
      if (note !== undefined) call.note(`Note: ${note}`)
      return
    }
    call.write(Buffer.from(base64, 'base64'))
    offset = next
  }
}

export async function printLog(call: VerbCall): Promise<void> {
  const { stdout, stderr, follow, lines } = call.options
  const tail = typeof lines === 'string' ? lines : undefined
  const how = { follow: follow === true, tail, attempt: attemptOf(call) }
  const streams =
    stderr === stdout
      ? (['stdout', 'stderr'] as const)
      : stderr
        ? (['stderr'] as const)
        : (['stdout'] as const)
  if (call.json) {
    const texts: Record<string, string> = {}
    await Promise.all(
      streams.map((stream) => {
        texts[stream] = ''
        return copyStream(call, stream, how, (chunk) => (texts[stream] += chunk))
      }),
    )
    return call.print(toJson({ ...(await viewOf(call, 0)), ...texts }))
  }
  const both = streams.length === 2
  await Promise.all(
    streams.map((stream) =>
      copyStream(
        call,
        stream,
        how,
        both && stream === 'stderr' ? toStderr(call) : (chunk) => call.write(chunk),
      ),
    ),
  )
}

function attemptOf({ options }: VerbCall): string | undefined {
  const { attempt } = options
  return typeof attempt === 'string' ? attempt : undefined
}

/** `note` writes whole lines: what has no end yet waits for it. */
function toStderr(call: VerbCall): (chunk: string, isLast: boolean) => void {
  let open = ''
  return (chunk, isLast) => {
    const lines = (open + chunk).split('\n')
    open = lines.pop() ?? ''
    for (const line of lines) call.note(line)
    if (isLast && open !== '') call.note(open)
  }
}

/** From the beginning, or `tail` lines before the end, to what is there now, or to the end of the job. */
async function copyStream(
  call: VerbCall,
  stream: 'stdout' | 'stderr',
  how: { follow: boolean; tail?: string | undefined; attempt?: string | undefined },
  write: (chunk: string, isLast: boolean) => void,
): Promise<void> {
  let offset: number | undefined
  for (;;) {
    const at = offset === undefined ? { tail: how.tail } : { offset: String(offset) }
    const query = { stream, attempt: how.attempt, ...at }
    const { body } = await call.http({ method: 'GET', path: `/jobs/${idOf(call)}/log`, query })
    const part = body as StreamPart
    // A tail tells by lines where to begin and may stop short of the end.
    const isLast = part.isEnd || (!how.follow && (part.text === '' || part.offset >= part.size))
    write(part.text, isLast)
    offset = part.offset
    if (isLast && part.size > 0 && part.note !== undefined) call.note(`Note: ${part.note}`)
    if (isLast || call.signal.aborted) return
    if (part.text === '') await wait(call, FOLLOW_MS)
  }
}
