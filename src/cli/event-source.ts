/**
 * Server-sent events of a node, over as many connections as it takes. Decides: when a connection counts
 * as lost, and that the next one goes on where it ended, by the id of the last event.
 */
import { fromJson, TroupeError } from '../protocol/light.ts'
import { verbClock } from './clock.ts'
import { Unreachable } from './exit-codes.ts'
import type { Session } from './session.ts'

export interface SentEvent {
  event: string
  data: unknown
  id: string | undefined
}

/** A node says every 15 s that it lives. */
const SILENT_MS_MAX = 60_000
const RETRY_MS = 1_000
const RETRY_MS_MAX = 10_000

/**
 * Ends when the signal of the session says so. @param lost is called when a connection breaks off
 * @throws TroupeError as the node answered @throws Unreachable when nobody answers at the beginning
 */
export async function* eventsOf(
  session: Session,
  path: string,
  query: Readonly<Record<string, string | undefined>>,
  lost: (why: string) => void,
): AsyncGenerator<SentEvent, void, void> {
  let id: string | undefined
  let isFirst = true
  let waitMs = RETRY_MS
  while (!session.signal.aborted) {
    try {
      const request = { method: 'GET', path, query } as const
      const bytes = await session.api.stream(request, id, SILENT_MS_MAX)
      isFirst = false
      for await (const sent of parsed(bytes)) {
        waitMs = RETRY_MS
        id = sent.id ?? id
        if (sent.event !== '') yield sent
      }
      lost('the node ended the watch')
    } catch (thrown) {
      if (isFirst || !isPassing(thrown)) throw thrown
      if (session.signal.aborted) return
      lost((thrown as Error).message)
    }
    await pause(session.signal, waitMs)
    waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)
  }
}

/** What a node that is started again makes good. */
function isPassing(thrown: unknown): boolean {
  if (thrown instanceof TroupeError) return thrown.retry || thrown.code === 'no-answer'
  return thrown instanceof Unreachable || (thrown as { code?: unknown }).code !== undefined
}

function pause(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = verbClock.after(ms, resolve)
    signal.addEventListener(
      'abort',
      () => {
        cancel()
        resolve()
      },
      { once: true },
    )
  })
}

/** An id without an event says where to go on: its `event` is empty. */
export async function* parsed(
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<SentEvent, void, void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of bytes) {
    rest += decoder.decode(chunk, { stream: true })
    const blocks = rest.split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const sent = eventOf(block)
      if (sent) yield sent
    }
  }
}

function eventOf(block: string): SentEvent | undefined {
  const fields = new Map<string, string>()
  for (const line of block.split('\n')) {
    const [, name = '', value = ''] = /^([^:]*): ?(.*)$/s.exec(line) ?? []
    fields.set(name, name === 'data' && fields.has(name) ? `${fields.get(name)}\n${value}` : value)
  }
  const [event, data, id] = ['event', 'data', 'id'].map((name) => fields.get(name))
  if (event === undefined || data === undefined) {
    return id === undefined ? undefined : { event: '', data: undefined, id }
  }
  return { event, data: fromJson(data), id }
}
