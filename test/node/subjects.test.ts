/** The subjects of apps: every request has an answer, whatever the app returns or throws. */
import { expect, test } from 'vitest'
import { MemoryTransport, VirtualClock } from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { serveSubject } from '../../src/node/app-subjects.ts'
import { fromJson, subjectsOf, TroupeError } from '../../src/protocol/index.ts'

const circle: Record<string, unknown> = {}
circle['self'] = circle

test.each([
  ['what it returns', async (given: unknown) => given, { ok: { n: 1 } }],
  [
    'an error for callers',
    () => Promise.reject(new TroupeError('busy', 'later')),
    { error: { code: 'busy', message: 'later' } },
  ],
  ['what is no JSON', async () => circle, { error: { code: 'internal' } }],
])('answers with %s', async (_what, handle, answer) => {
  const clock = new VirtualClock()
  const transport = new MemoryTransport({ clock })
  const subjects = subjectsOf('test')
  serveSubject(transport, subjects, silentLog, 'shop', { name: 'ask', handle })
  let said: unknown
  const request = { subject: subjects.app('shop', 'ask'), timeoutMs: 1_000 }
  transport.request({ ...request, payload: Buffer.from('{"n":1}') }, (outcome) => {
    if (outcome.kind === 'reply') said = fromJson(Buffer.from(outcome.payload).toString())
  })
  await clock.settle()
  expect(said).toMatchObject(answer)
})
