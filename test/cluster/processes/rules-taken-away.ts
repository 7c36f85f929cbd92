/**
 * What a node's journal would do without one of its rules, for tests that show what each rule holds: the
 * conditions of its writes are taken away between the node and its nats-server, so that the node itself is
 * the one that is shipped.
 *
 * Decides: how a write of a slot is found in what a node sends: a message with headers (`HPUB`) on a subject
 * of the journal. A header is renamed to one of the same length, which means nothing to JetStream.
 */
import type { Rewrite } from './link.ts'

/** Conditions of a write, as headers of NATS. */
export const CREATE_ONLY = 'Nats-Expected-Last-Subject-Sequence'
export const AFTER_SEQUENCE = 'Nats-Expected-Last-Sequence'

const LINE_END = '\r\n'
/** Of the lines of the protocol only these are followed by bytes, as many as their last word says. */
const PUBLISHES = /^H?PUB /i
const OF_A_SLOT = /^HPUB troupe\.[^.]+\.journal\./i

/** @param headers whose meaning is taken away from every write of a slot */
export function without(...headers: readonly string[]): () => Rewrite {
  return () => {
    let waiting: Buffer = Buffer.alloc(0)
    return (bytes) => {
      waiting = Buffer.concat([waiting, bytes])
      const whole: Buffer[] = []
      for (let length = messageLength(waiting); length > 0; length = messageLength(waiting)) {
        whole.push(rewritten(waiting.subarray(0, length), headers))
        waiting = waiting.subarray(length)
      }
      return Buffer.concat(whole)
    }
  }
}

/** Of the first line and what belongs to it; 0 while it is not whole. */
function messageLength(bytes: Buffer): number {
  const end = bytes.indexOf(LINE_END)
  if (end < 0) return 0
  const line = bytes.toString('latin1', 0, end)
  const lineLength = end + LINE_END.length
  if (!PUBLISHES.test(line)) return lineLength
  const payload = Number(line.slice(line.lastIndexOf(' ') + 1))
  const length = lineLength + payload + LINE_END.length
  return bytes.length < length ? 0 : length
}

function rewritten(message: Buffer, headers: readonly string[]): Buffer {
  const text = message.toString('latin1')
  if (!OF_A_SLOT.test(text)) return message
  const end = text.indexOf(`${LINE_END}${LINE_END}`)
  let head = text.slice(0, end)
  for (const header of headers) head = head.replace(`${header}:`, `X${header.slice(1)}:`)
  return Buffer.concat([Buffer.from(head, 'latin1'), message.subarray(end)])
}
