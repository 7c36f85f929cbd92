/**
 * Where an answer may go. Decides: nowhere it would act. A server checks what its clients say, and not where
 * they want to be answered: a node that answered anywhere would write for a reader into the journal.
 */

/** What servers obey and keep, and what nodes and actors hear. */
const ACTING = /^(?:\$|troupe\.)/

export function isInbox(subject: string): boolean {
  return !ACTING.test(subject)
}
