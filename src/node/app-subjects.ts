/**
 * The subjects of apps: JSON in, JSON out, for whoever can reach the transport. Decides: the form of
 * an answer, `{"ok":…}` or `{"error":…}`. Members of a cluster share the requests.
 */
import type { Log, Subscription, Transport } from '../ports/index.ts'
import { fromJson, type Subjects, toErrorRecord, toJson } from '../protocol/index.ts'
import type { AppSubject } from './app.ts'

export function serveSubject(
  transport: Transport,
  subjects: Subjects,
  log: Log,
  app: string,
  { name, handle }: AppSubject,
): Subscription {
  return transport.subscribe(subjects.app(app, name), { queue: app }, ({ payload, reply }) => {
    const answer = async (): Promise<string> => {
      try {
        const text = Buffer.from(payload).toString()
        return toJson({ ok: await handle(text === '' ? undefined : fromJson(text)) })
      } catch (thrown) {
        const error = toErrorRecord(thrown)
        if (error.code === 'internal')
          log.error({ app, subject: name, error: error.message }, 'a subject of an app failed')
        return toJson({ error })
      }
    }
    void answer().then((body) => reply?.(Buffer.from(body)))
  })
}
