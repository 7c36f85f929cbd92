/**
 * A task's message as it lies in JetStream. Decides: JSON, so that operators can read what waits with any
 * NATS tool; and that what was not written by Troupe is told apart. Leaves to others: subjects.
 */
import { headers, type MsgHdrs } from 'nats'
import type { TaskMessage } from '../../ports/index.ts'

export function encodeTask(message: TaskMessage): { bytes: Uint8Array; headers: MsgHdrs } {
  const fields = headers()
  // A header is one line of printable characters; different ids stay different.
  fields.set('Nats-Msg-Id', encodeURI(message.messageId))
  return { bytes: Buffer.from(JSON.stringify(message)), headers: fields }
}

/** Undefined for what cannot be a task. */
export function decodeTask(bytes: Uint8Array): TaskMessage | undefined {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { queue, priority, messageId, taskId, name, ticket, notBefore } =
    value as Partial<TaskMessage>
  const isTask =
    typeof queue === 'string' &&
    typeof priority === 'number' &&
    typeof messageId === 'string' &&
    typeof taskId === 'string' &&
    typeof name === 'string' &&
    typeof ticket === 'string' &&
    (notBefore === undefined || typeof notBefore === 'number')
  if (!isTask) return undefined
  const message: TaskMessage = { queue, priority, messageId, taskId, name, ticket }
  return notBefore === undefined ? message : { ...message, notBefore }
}
