/**
 * What a caller can get wrong over HTTP. Each case has its status and code, says what is wrong in
 * words, shows no stack trace, and leaves the actor exactly as it was.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CallInit, type Rig, startRig } from './rig.ts'

const A = '/troupe/v1/actors/order/a'
const JSON_TYPE = { 'content-type': 'application/json' }
const past = () => `${Date.now() - 3_600_000}-old`
const future = () => `${Date.now() + 3_600_000}-early`

interface Case {
  name: string
  method: string
  path: string
  init?: CallInit
  status: number
  code: string
  says?: RegExp
}

const send = (name: string, init: CallInit, status: number, code: string, says?: RegExp): Case => ({
  name,
  method: 'POST',
  path: `${A}/send`,
  init,
  status,
  code,
  ...(says ? { says } : {}),
})
const get = (name: string, path: string, status: number, code: string, says?: RegExp): Case => ({
  name,
  method: 'GET',
  path,
  status,
  code,
  ...(says ? { says } : {}),
})
const post = (
  name: string,
  path: string,
  body: unknown,
  status: number,
  code: string,
  says?: RegExp,
): Case => ({
  name,
  method: 'POST',
  path,
  init: { body },
  status,
  code,
  ...(says ? { says } : {}),
})
const event = { type: 'OPEN', amount: 1 }
const L = '/troupe/v1/actors'

const CASES: readonly Case[] = [
  {
    name: 'a field of a retry, which has none',
    method: 'POST',
    path: `${A}/retry`,
    init: { body: { state: 'draft' } },
    status: 400,
    code: 'malformed',
    says: /no field "state"/,
  },
  send('broken JSON', { body: '{"type":', headers: JSON_TYPE }, 400, 'malformed', /not JSON/),
  send('no body', {}, 400, 'malformed', /body is missing/),
  send('an event that is a list', { body: [1] }, 400, 'malformed', /"type"/),
  send('an event that is null', { body: null }, 400, 'malformed'),
  send('an event without a type', { body: { amount: 1 } }, 400, 'malformed', /"type"/),
  send('a type that is a number', { body: { type: 7 } }, 400, 'malformed'),
  send('an unknown event', { body: { type: 'NOPE' } }, 422, 'invalid-event', /NOPE/),
  send(
    'an event of the runtime',
    { body: { type: 'xstate.done.actor.charge' } },
    422,
    'invalid-event',
  ),
  send('a payload without its field', { body: { type: 'OPEN' } }, 422, 'invalid-event', /amount/),
  send(
    'a payload of the wrong type',
    { body: { type: 'OPEN', amount: 'much' } },
    422,
    'invalid-event',
    /amount/,
  ),
  send(
    'bytes that are not UTF-8',
    { body: new Uint8Array([0x22, 0xff, 0x22]), headers: JSON_TYPE },
    400,
    'malformed',
    /UTF-8/,
  ),
  send(
    'a prototype',
    { body: '{"type":"OPEN","amount":1,"__proto__":{"x":1}}', headers: JSON_TYPE },
    400,
    'malformed',
    /__proto__/,
  ),
  send(
    'a prototype in disguise',
    { body: '{"type":"OPEN","amount":1,"\\u005f_proto__":{}}', headers: JSON_TYPE },
    400,
    'malformed',
  ),
  send('very deep JSON', { body: '['.repeat(100_000), headers: JSON_TYPE }, 400, 'malformed'),
  send(
    'a bigint that is none',
    { body: '{"type":"BIG","id":{"$bigint":"12x"}}', headers: JSON_TYPE },
    400,
    'malformed',
  ),
  send(
    'a form',
    { body: 'type=OPEN', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    415,
    'malformed',
    /content-type/,
  ),
  send(
    'a content type that is none',
    { body: '{}', headers: { 'content-type': 'nonsense' } },
    415,
    'malformed',
  ),
  send(
    'a body that is too large',
    { body: { type: 'OPEN', amount: 1, x: 'x'.repeat(600_000) } },
    413,
    'too-large',
  ),
  send(
    'a key of the wrong form',
    { body: event, headers: { 'idempotency-key': 'abc' } },
    400,
    'malformed',
    /unix time in ms/,
  ),
  send(
    'a timeout of 0',
    { body: event, headers: { 'x-troupe-timeout-ms': '0' } },
    400,
    'malformed',
    /Timeout/i,
  ),
  send(
    'a durability that is none',
    { body: event, headers: { 'x-troupe-durability': 'maybe' } },
    400,
    'malformed',
    /flushed/,
  ),
  send(
    'a durability that needs a cluster',
    { body: event, headers: { 'x-troupe-durability': 'journaled' } },
    400,
    'malformed',
    /journal/,
  ),
  send(
    'an author with control characters',
    { body: event, headers: { 'x-troupe-author': 'a\tb' } },
    400,
    'malformed',
  ),
  send(
    'a foreign Host',
    { body: event, headers: { host: 'evil.example:9800' } },
    403,
    'forbidden',
    /Host/,
  ),
  send(
    'a foreign Origin',
    { body: event, headers: { origin: 'https://evil.example' } },
    403,
    'forbidden',
    /Origin/,
  ),
  send('the Origin of a file', { body: event, headers: { origin: 'null' } }, 403, 'forbidden'),
  post('an unknown verb', `${A}/explode`, {}, 404, 'not-found', /pause/),
  post(
    'an unknown query parameter',
    `${A}/send?dryrun=true`,
    event,
    400,
    'malformed',
    /did you mean "dryRun"/,
  ),
  post(
    'a parameter given twice',
    `${A}/send?dryRun=true&dryRun=false`,
    event,
    400,
    'malformed',
    /twice/,
  ),
  post(
    'a flag that is neither',
    `${A}/send?dryRun=maybe`,
    event,
    400,
    'malformed',
    /true or false/,
  ),
  post(
    'an actor that is not there',
    '/troupe/v1/actors/order/nobody/send',
    event,
    404,
    'unknown-actor',
  ),
  post('a child that is not there', `${A}/children/x/send`, event, 404, 'unknown-actor'),
  post('a machine that is not there', '/troupe/v1/actors/nope/a', {}, 404, 'unknown-machine'),
  post(
    'an input that does not fit',
    '/troupe/v1/actors/order/b',
    { customer: '' },
    422,
    'invalid-input',
    /customer/,
  ),
  post(
    'no input where one is needed',
    '/troupe/v1/actors/order/b',
    undefined,
    422,
    'invalid-input',
  ),
  post('an actor that is there', A, { customer: 'x' }, 409, 'already-exists'),
  post(
    'an id that is too long',
    `/troupe/v1/actors/order/${'x'.repeat(257)}`,
    {},
    400,
    'invalid-address',
    /256/,
  ),
  post(
    'an id with control characters',
    '/troupe/v1/actors/order/a%00b',
    {},
    400,
    'invalid-address',
    /control/,
  ),
  post('an empty id', '/troupe/v1/actors/order/', {}, 404, 'not-found'),
  post('a slash too many', '/troupe/v1/actors/order/a/b/c', {}, 404, 'not-found', /%2F/),
  post('a bad escape', '/troupe/v1/actors/order/%zz', {}, 400, 'malformed', /%2F/),
  post(
    'a machine name that breaks the rules',
    '/troupe/v1/actors/no%20pe/a',
    {},
    400,
    'invalid-address',
  ),
  post(
    'a state that is not there',
    `${A}/resume`,
    { state: 'nowhere' },
    422,
    'unknown-state',
    /draft/,
  ),
  post('a resume of what is not paused', `${A}/resume`, {}, 409, 'conflict'),
  post('an unknown field', `${A}/pause`, { because: 'x' }, 400, 'malformed', /because/),
  post('a field of the wrong type', `${A}/pause`, { reason: 7 }, 400, 'malformed', /reason/),
  post('a timer mode that is none', `${A}/pause`, { timers: 'stop' }, 400, 'malformed', /freeze/),
  {
    name: 'a patch that breaks the schema',
    method: 'PATCH',
    path: A,
    init: { body: { amount: 'x' } },
    status: 422,
    code: 'invalid-context',
    says: /amount/,
  },
  { name: 'a patch without a body', method: 'PATCH', path: A, status: 400, code: 'malformed' },
  {
    name: 'a wrong method',
    method: 'PUT',
    path: A,
    init: { body: {} },
    status: 405,
    code: 'not-found',
    says: /PATCH/,
  },
  {
    name: 'a wrong method of a list',
    method: 'POST',
    path: '/troupe/v1/machines',
    init: { body: {} },
    status: 405,
    code: 'not-found',
    says: /GET/,
  },
  {
    name: 'an address that is nothing',
    method: 'POST',
    path: '/nothing',
    init: { body: {} },
    status: 404,
    code: 'not-found',
  },
  get('a limit that is text', `${L}?limit=many`, 400, 'invalid-query', /limit/),
  get('a limit of 0', `${L}?limit=0`, 400, 'invalid-query'),
  get('a limit beyond the largest', `${L}?limit=5000`, 400, 'invalid-query', /pageCountMax/),
  get('a cursor that is none', `${L}?cursor=abc`, 400, 'invalid-query', /cursor/),
  get('a cursor with a filter', `${L}?cursor=abc&machine=order`, 400, 'invalid-query', /belongs/),
  get(
    'a parameter that is unknown',
    `${L}?machin=order`,
    400,
    'invalid-query',
    /did you mean "machine"/,
  ),
  get('a condition that is none', `${L}?condition=sleepy`, 400, 'invalid-query', /parked/),
  get('a duration that is none', `${L}?olderThan=soon`, 400, 'invalid-query', /10m/),
  get('a field without its machine', `${L}?where.amount=1`, 400, 'invalid-query', /machine/),
  get(
    'a list of a machine that is not there',
    `${L}?machine=nope`,
    404,
    'unknown-machine',
    /order/,
  ),
  get('a machine that is not there', '/troupe/v1/machines/nope', 404, 'unknown-machine'),
  get('a history with a bad limit', `${A}/history?limit=-1`, 400, 'malformed', /limit/),
  get('an audit of no address', '/troupe/v1/audit?actor=order', 400, 'invalid-address'),
]

let rig: Rig
let before: unknown
beforeAll(async () => {
  rig = await startRig()
  await rig.start('a')
  before = (await rig.call('GET', A)).body
})
afterAll(() => rig.close())

async function judge({ method, path, init, status, code, says }: Case): Promise<void> {
  const answer = await rig.call(method, path, init)
  expect([answer.status, answer.body?.error?.code], answer.text).toEqual([status, code])
  if (says) expect(answer.body.error.message).toMatch(says)
  expect(answer.headers['content-type']).toContain('application/json')
  expect(answer.text).not.toMatch(/\bat .*\.ts:\d+|node_modules/)
  expect((await rig.call('GET', A)).body).toEqual(before)
}

it.each(CASES)('$name: $status $code', (one) => judge(one))

it('a key that is older than what is remembered: 409 expired', () =>
  judge(send('', { body: event, headers: { 'idempotency-key': past() } }, 409, 'expired')))

it('a key from the future: 400 clock-skew', () =>
  judge(send('', { body: event, headers: { 'idempotency-key': future() } }, 400, 'clock-skew')))

it('made no other actor', async () => {
  const { body } = await rig.call('GET', L)
  expect(body.rows.map((row: { address: string }) => row.address)).toEqual(['order/a'])
})
