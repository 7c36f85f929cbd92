/** When an app is told that nobody waits for its answer any more. */

import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, it } from 'vitest'
import { OpenRequests } from '../../src/gateway/open-requests.ts'

function response(state: { destroyed: boolean; writableFinished: boolean }) {
  return Object.assign(new EventEmitter(), state) as unknown as ServerResponse & EventEmitter
}

it('tells it when the client goes away before the answer is out', () => {
  const open = new OpenRequests()
  const gone = response({ destroyed: false, writableFinished: false })
  const answered = response({ destroyed: false, writableFinished: true })
  const signals = [open.begin(gone).signal, open.begin(answered).signal]
  gone.emit('close')
  answered.emit('close')
  expect(signals.map((signal) => signal.aborted)).toEqual([true, false])
})

it('tells it at once when the client was gone before the app was asked', () => {
  const gone = response({ destroyed: true, writableFinished: false })
  expect(new OpenRequests().begin(gone).signal.aborted).toBe(true)
  expect(gone.listenerCount('close')).toBe(0)
})
