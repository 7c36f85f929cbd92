/** What callers of the seed's API can do wrong: a status, a message that names it, and no change. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { JobsNode, type Values } from './rig.ts'

let node: JobsNode
let before: unknown

beforeAll(async () => {
  node = await JobsNode.create()
  await node.addApp('tests')
  await node.addApp('others')
})

afterAll(() => node.close())

const counted = () => node.node.client.count({ machine: 'job' })

beforeEach(async () => {
  before = await counted()
})

afterEach(async () => {
  expect(await counted()).toEqual(before)
})

type Case = [what: string, fields: Values, status: number, message: string]

const good: Values = { jobName: 'n', content: 'true' }
const submits: Case[] = [
  ['nothing at all', {}, 400, 'jobName is missing'],
  ['no content', { jobName: 'n' }, 400, 'content is missing'],
  ['an empty content', { ...good, content: '' }, 400, 'content is missing'],
  ['a content with NUL', { ...good, content: 'a\0b' }, 400, 'content holds a NUL'],
  ['a content of NUL only', { ...good, content: '\0' }, 400, 'content holds a NUL'],
  ['a long content', { ...good, content: 'x'.repeat(262_145) }, 413, 'contentBytesMax'],
  [
    'a content of long characters',
    { ...good, content: '行'.repeat(87_382) },
    413,
    'content has 262146',
  ],
  [
    'a long content for another type',
    { ...good, jobType: 'other', content: 'x'.repeat(131_072) },
    413,
    'content has 131072',
  ],
  ['no jobName', { content: 'true' }, 400, 'jobName is missing'],
  ['an empty jobName', { ...good, jobName: '' }, 400, 'jobName is missing'],
  ['a blank jobName', { ...good, jobName: '  ' }, 400, 'jobName is missing'],
  ['a jobName of two lines', { ...good, jobName: 'a\nb' }, 400, 'jobName holds control'],
  ['a jobName with an escape', { ...good, jobName: 'a\u001b[2J' }, 400, 'jobName holds control'],
  ['a jobName with a C1 control', { ...good, jobName: 'a\u009b2J' }, 400, 'jobName holds control'],
  ['a long jobName', { ...good, jobName: 'n'.repeat(257) }, 400, 'jobName has 257'],
  ['an executor of two lines', { ...good, executor: 'a\rb' }, 400, 'executor holds control'],
  ['a long executor', { ...good, executor: 'e'.repeat(257) }, 400, 'executor has 257'],
  ['a jobType with a tab', { ...good, jobType: 'a\tb' }, 400, 'jobType holds control'],
  ['a long jobType', { ...good, jobType: 't'.repeat(65) }, 400, 'jobType has 65'],
  ['group 0', { ...good, groupId: 0 }, 400, 'groupId must be'],
  ['group -1', { ...good, groupId: -1 }, 400, 'groupId must be'],
  ['group 1.5', { ...good, groupId: '1.5' }, 400, 'groupId must be'],
  ['group 1e3', { ...good, groupId: '1e3' }, 400, 'groupId must be'],
  ['group 0x1', { ...good, groupId: '0x1' }, 400, 'groupId must be'],
  ['a group that is no number', { ...good, groupId: 'one' }, 400, 'groupId must be'],
  ['a group beyond 2^31 - 1', { ...good, groupId: 2 ** 31 }, 400, 'groupId must be'],
  ['group Infinity', { ...good, groupId: 'Infinity' }, 400, 'groupId must be'],
  ['group NaN', { ...good, groupId: 'NaN' }, 400, 'groupId must be'],
  ['a group in other digits', { ...good, groupId: '１' }, 400, 'groupId must be'],
  ['a priority that is none', { ...good, priority: 'high' }, 400, 'priority must be'],
  ['a priority of a fraction', { ...good, priority: '1.5' }, 400, 'priority must be'],
  ['a priority that is too high', { ...good, priority: 1_000_001 }, 400, 'priority must be'],
  ['a priority that is too low', { ...good, priority: -1_000_001 }, 400, 'priority must be'],
  ['two signs', { ...good, priority: '--1' }, 400, 'priority must be'],
  ['a policy that is none', { ...good, onWorkerLost: 'panic' }, 400, 'onWorkerLost must be'],
  ['a policy in capitals', { ...good, onWorkerLost: 'PARK' }, 400, 'onWorkerLost must be'],
  ['a queue wait below 0', { ...good, expiredTime: -1 }, 400, 'expiredTime must be'],
  ['a queue wait of words', { ...good, expiredTime: '10m' }, 400, 'expiredTime must be'],
  ['a queue wait of two years', { ...good, expiredTime: 63_072_000 }, 400, 'expiredTime must be'],
  ['a run time below 0', { ...good, runTimeout: -5 }, 400, 'runTimeout must be'],
  ['a run time of a fraction', { ...good, runTimeout: '0.5' }, 400, 'runTimeout must be'],
  ['a run time without end', { ...good, runTimeout: 'Infinity' }, 400, 'runTimeout must be'],
  ['attempts below 0', { ...good, failedAttempts: -1 }, 400, 'failedAttempts must be'],
  ['101 further attempts', { ...good, failedAttempts: 101 }, 400, 'failedAttempts must be'],
  ['attempts of words', { ...good, failedAttempts: 'twice' }, 400, 'failedAttempts must be'],
  ['101 after a time-out', { ...good, timeoutAttempts: 101 }, 400, 'timeoutAttempts must be'],
  ['-1 after a time-out', { ...good, timeoutAttempts: -1 }, 400, 'timeoutAttempts must be'],
  ['101 after a loss', { ...good, lostAttempts: 101 }, 400, 'lostAttempts must be'],
  ['a fraction after a loss', { ...good, lostAttempts: '1.5' }, 400, 'lostAttempts must be'],
  ['an interval below 0', { ...good, failedInterval: -3 }, 400, 'failedInterval must be'],
  ['an interval of a fraction', { ...good, failedInterval: '2.5' }, 400, 'failedInterval must be'],
  ['a callback that is no URL', { ...good, callbackUrl: 'receiver' }, 400, 'callbackUrl must be'],
  ['a callback to a file', { ...good, callbackUrl: 'file:///etc/passwd' }, 400, 'http or https'],
  ['a callback by ftp', { ...good, callbackUrl: 'ftp://a/' }, 400, 'http or https'],
  ['a callback of script', { ...good, callbackUrl: 'javascript:alert(1)' }, 400, 'http or https'],
  ['a callback without a host', { ...good, callbackUrl: 'http://' }, 400, 'http or https'],
  [
    'a callback with a password',
    { ...good, callbackUrl: 'http://u:p@a/' },
    400,
    'a user or a password',
  ],
  [
    'a callback with a line end',
    { ...good, callbackUrl: 'http://a/\nb' },
    400,
    'callbackUrl holds',
  ],
  [
    'a long callback',
    { ...good, callbackUrl: `http://a/${'x'.repeat(2_048)}` },
    400,
    'callbackUrl has',
  ],
]

/** Of everything that names a job. */
const ids: Case[] = [
  ['no jobId', {}, 400, 'jobId is missing'],
  ['an empty jobId', { jobId: '' }, 400, 'jobId is missing'],
  ['a jobId of words', { jobId: 'seven' }, 400, 'jobId must be'],
  ['a jobId with a tail', { jobId: '7x' }, 400, 'jobId must be'],
  ['jobId 0', { jobId: 0 }, 400, 'jobId must be'],
  ['a jobId below 0', { jobId: -7 }, 400, 'jobId must be'],
  ['a jobId of a fraction', { jobId: '7.5' }, 400, 'jobId must be'],
  ['a jobId beyond 2^53', { jobId: '9007199254740993' }, 400, 'jobId must be'],
  ['a jobId of twenty digits', { jobId: '12345678901234567890' }, 400, 'jobId must be'],
  ['a jobId that is a path', { jobId: '../app/tests' }, 400, 'jobId must be'],
  ['a job that does not exist', { jobId: 999_999_999 }, 404, 'there is no job 999999999'],
]

const jobId = 1
const reads: [path: string, ...Case][] = [
  ['result', 'an offset below 0', { jobId, offset: -1 }, 400, 'offset must be'],
  ['result', 'an offset of words', { jobId, offset: 'end' }, 400, 'offset must be'],
  ['result', 'an offset beyond 2^53', { jobId, offset: '9007199254740993' }, 400, 'offset must be'],
  ['result', 'no lines at all', { jobId, lines: 0 }, 400, 'lines must be'],
  ['result', 'lines below 0', { jobId, lines: -1 }, 400, 'lines must be'],
  ['result', 'too many lines', { jobId, lines: 10_001 }, 400, 'lines must be'],
  ['querylog', 'an offset below 0', { jobId, offset: -1 }, 400, 'offset must be'],
  ['querylog', 'no lines at all', { jobId, lines: 0 }, 400, 'lines must be'],
  ['querylog', 'lines of words', { jobId, lines: 'all' }, 400, 'lines must be'],
]

const cases: [path: string, ...Case][] = [
  ...submits.map((one): [string, ...Case] => ['execute', ...one]),
  ...['jobstatus', 'querylog', 'result', 'killjob'].flatMap((path) =>
    ids.map((one): [string, ...Case] => [path, ...one]),
  ),
  ...reads,
]

it('is a long table', () => {
  expect(submits.length + ids.length + reads.length).toBeGreaterThanOrEqual(75)
  expect(cases.length).toBeGreaterThanOrEqual(100)
})

it.each(cases)('/server/%s refuses %s', async (path, _what, fields, status, message) => {
  for (const as of ['form', 'json'] as const) {
    const answer = await node.call(`/server/${path}`, fields, 'tests', as)
    expect(answer).toMatchObject({ status, body: { respCode: 1, params: {} } })
    expect(answer.body.respMsg).toContain(message)
  }
})

describe('what only JSON can say wrong', () => {
  it.each([
    ['a list for a text', { ...good, jobName: ['n'] }, 'jobName must be one text'],
    ['an object for a text', { ...good, content: { a: 1 } }, 'content must be one text'],
    ['a list for a number', { ...good, groupId: [1] }, 'groupId must be one text'],
    ['a fraction', { ...good, groupId: 1.5 }, 'groupId must be'],
    ['true for a number', { ...good, groupId: true }, 'groupId must be'],
    ['null for what must be there', { ...good, jobName: null }, 'jobName is missing'],
    ['a number beyond 2^53', { ...good, priority: 2 ** 60 }, 'priority must be'],
    [
      'a field of the prototype',
      JSON.parse('{"__proto__": {"jobName": "n"}}'),
      '__proto__ must be one text',
    ],
  ])('refuses %s', async (_what, fields, message) => {
    const answer = await node.call('/server/execute', fields as Values, 'tests', 'json')
    expect(answer).toMatchObject({ status: 400, body: { respCode: 1 } })
    expect(answer.body.respMsg).toContain(message)
  })
})

describe('bodies that cannot be read', () => {
  it.each([
    ['cut JSON', 'application/json', '{"a":'],
    ['a list', 'application/json', '[1]'],
    ['a text', 'application/json', '"a"'],
    ['null', 'application/json', 'null'],
    ['nothing', 'application/json', ''],
    ['a name that is an object', 'application/json', '{"name":{"a":1},"token":"t"}'],
    ['XML', 'text/xml', '<a/>'],
    ['a part of a multipart form', 'multipart/form-data; boundary=a', '--a--'],
    ['a field that is given twice', 'application/x-www-form-urlencoded', 'name=a&name=b'],
    ['bytes that are no UTF-8', 'application/json', Uint8Array.of(0xff, 0xfe)],
    ['JSON that nests too deep', 'application/json', '['.repeat(100_000)],
  ] as const)('are refused in the envelope: %s', async (_what, type, body) => {
    const answer = await fetch(`${node.url}/server/execute`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: body as string,
    })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ respCode: 1, params: {} })
  })

  it('are refused when they are too large', async () => {
    const fields = { ...good, content: 'x'.repeat(1_100_000) }
    const answer = await node.call('/server/execute', fields).catch((error: unknown) => error)
    // The connection may end before all of it was sent.
    if (!(answer instanceof Error)) expect(answer).toMatchObject({ status: 413 })
  })
})
