/** Conditions are taken away from writes of slots, whole or in pieces, and from nothing else. */
import { expect, it } from 'vitest'
import { AFTER_SEQUENCE, CREATE_ONLY, without } from './rules-taken-away.ts'

function published(subject: string, payload: string): string {
  const headers = `NATS/1.0\r\n${CREATE_ONLY}: 0\r\n${AFTER_SEQUENCE}: 7\r\n\r\n`
  return `HPUB ${subject} _INBOX.1 ${headers.length} ${headers.length + payload.length}\r\n${headers}${payload}\r\n`
}

const SENT = [
  'CONNECT {"headers":true}\r\n',
  'PUB troupe.test.shard.1 _INBOX.2 6\r\nHPUB x\r\n',
  published('troupe.test.journal.3.12', `${CREATE_ONLY}: 0`),
  published('$KV.REGISTRY.claim', 'value'),
  'PING\r\n',
].join('')

it.each([1, 3, 50, SENT.length])('in pieces of %i bytes', (size) => {
  const rewrite = without(CREATE_ONLY)()
  const pieces: Buffer[] = []
  for (let at = 0; at < SENT.length; at += size) {
    pieces.push(rewrite(Buffer.from(SENT.slice(at, at + size), 'latin1')))
  }
  const given = Buffer.concat(pieces).toString('latin1')
  const slot = published('troupe.test.journal.3.12', `${CREATE_ONLY}: 0`)
  expect(given).toBe(SENT.replace(slot, slot.replace(CREATE_ONLY, `X${CREATE_ONLY.slice(1)}`)))
})

it('all conditions at once', () => {
  const given = without(CREATE_ONLY, AFTER_SEQUENCE)()(
    Buffer.from(published('troupe.test.journal.0.1', 'record')),
  ).toString()
  expect(given).not.toContain('Nats-Expected')
  expect(given).toHaveLength(published('troupe.test.journal.0.1', 'record').length)
})
