/**
 * Where an answer may go, and what is none that anybody asked for. Decides: an answer goes nowhere it would
 * act. A server checks what its clients say, and not where they want to be answered: a node that answered
 * anywhere would write for a reader into the journal. And a server sends the messages of a consumer wherever
 * who makes it says, also where only nodes may speak.
 */
import type { Msg } from 'nats'

/** What servers obey and keep, and what nodes and actors hear. */
const ACTING = /^(?:\$|troupe\.)/

export function isInbox(subject: string): boolean {
  return !ACTING.test(subject)
}

/** Each message of a consumer has a place where it is confirmed; the rest are heartbeats, and empty. */
const CONFIRMATION = '$JS.ACK.'
const STATUS = 100

/** What none of ours hears by a subscription: queues and journals have inboxes of their own. */
export function isOfConsumer({
  reply,
  data,
  headers,
}: Pick<Msg, 'reply' | 'data' | 'headers'>): boolean {
  if (reply?.startsWith(CONFIRMATION)) return true
  return data.length === 0 && headers?.code === STATUS
}
