import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeSignature, makeToken } from '../../../machines/jobs/tokens.ts'
import { until } from '../../waiting.ts'
import { JobsNode, type Values } from './rig.ts'

let node: JobsNode
let key: string
let jobId: string

const PATH = '/server/jobstatus'

beforeAll(async () => {
  node = await JobsNode.create()
  key = await node.addApp('tests')
  jobId = await node.submit('true')
})

afterAll(() => node.close())

const md5 = (text: string) => createHash('md5').update(text).digest('hex')
const seconds = (byS = 0) => String(Math.floor(Date.now() / 1_000) + byS)

/** The form that covers all fields. */
function signed(fields: Record<string, string>, time: string, path = PATH): Values {
  return {
    name: 'tests',
    time,
    ...fields,
    token: makeSignature(key, { name: 'tests', time, path, fields }),
  }
}

it.each<[string, () => Values]>([
  ['42 characters', () => ({ token: makeToken(key, Date.now()).token })],
  [
    '42 characters, and a time that is not used',
    () => ({ token: makeToken(key, Date.now()).token, time: '1' }),
  ],
  [
    '42 characters of an upper-case client',
    () => ({ token: makeToken(key, Date.now()).token.toUpperCase() }),
  ],
  ['42 characters, nearly too old', () => ({ token: makeToken(key, Date.now() - 175_000).token })],
  ['42 characters, nearly too new', () => ({ token: makeToken(key, Date.now() + 175_000).token })],
  [
    '32 and seconds',
    () => {
      const time = seconds()
      return { token: md5(key + time), time }
    },
  ],
  [
    '32 and milliseconds',
    () => {
      const time = String(Date.now())
      return { token: md5(key + time), time }
    },
  ],
  ['64 and seconds', () => signed({ jobId }, seconds())],
  ['64 and milliseconds', () => signed({ jobId }, String(Date.now()))],
])('takes a token of %s', async (_what, fields) => {
  const given = fields()
  const { status, body } = await node.raw(PATH, { name: 'tests', jobId, ...given })
  expect(body.respMsg).toBe('success')
  expect(status).toBe(200)
  expect((await node.raw(PATH, { name: 'tests', jobId, ...given }, 'json')).status).toBe(200)
})

it.each<[string, () => Values, number, string]>([
  ['no token', () => ({ token: undefined }), 400, 'token is missing'],
  ['no name', () => ({ name: undefined, token: 'x' }), 400, 'name is missing'],
  ['a token of no known shape', () => ({ token: 'secret' }), 401, 'Invalid appToken'],
  [
    '41 characters',
    () => ({ token: makeToken(key, Date.now()).token.slice(1) }),
    401,
    'Invalid appToken',
  ],
  [
    '13 digits of time in the token',
    () => ({ token: `${Date.now()}${md5(key)}` }),
    401,
    'Invalid appToken',
  ],
  [
    'a digest that is not hex',
    () => ({ token: `${seconds()}${'z'.repeat(32)}` }),
    401,
    'Invalid appToken',
  ],
  [
    'an old one',
    () => ({ token: makeToken(key, Date.now() - 190_000).token }),
    401,
    'Expired appToken',
  ],
  [
    'one of the future',
    () => ({ token: makeToken(key, Date.now() + 190_000).token }),
    401,
    'Expired appToken',
  ],
  [
    'the wrong key',
    () => ({ token: makeToken('0'.repeat(32), Date.now()).token }),
    401,
    'AppToken auth failed',
  ],
  [
    'an app that does not exist',
    () => ({ name: 'nobody', token: makeToken(key, Date.now()).token }),
    401,
    'AppToken auth failed',
  ],
  [
    'an app whose name is no id',
    () => ({ name: '\u0001', token: makeToken(key, Date.now()).token }),
    401,
    'AppToken auth failed',
  ],
  ['32 without a time', () => ({ token: md5(key + seconds()) }), 401, 'needs "time"'],
  [
    '32 with a time of 11 digits',
    () => ({ token: md5(key + seconds()), time: `${seconds()}0` }),
    401,
    'needs "time"',
  ],
  [
    '32 with another time',
    () => ({ token: md5(key + seconds()), time: seconds(1) }),
    401,
    'AppToken auth failed',
  ],
  [
    '32 with an old time',
    () => ({ token: md5(key + seconds(-190)), time: seconds(-190) }),
    401,
    'Expired appToken',
  ],
  [
    '64 for another path',
    () => signed({ jobId }, seconds(), '/server/killjob'),
    401,
    'AppToken auth failed',
  ],
  [
    '64 for other fields',
    () => ({ ...signed({ jobId: '1234' }, seconds()), jobId }),
    401,
    'AppToken auth failed',
  ],
  [
    '64 with a field more',
    () => ({ ...signed({ jobId }, seconds()), lines: '7' }),
    401,
    'AppToken auth failed',
  ],
])('refuses %s', async (_what, fields, status, message) => {
  const answer = await node.raw(PATH, { name: 'tests', jobId, ...fields() })
  expect(answer.body.respMsg).toContain(message)
  expect(answer).toMatchObject({ status, body: { respCode: 1 } })
})

it('honours within seconds that an app is disabled, and enabled again', async () => {
  await node.addApp('switched')
  const status = async () => (await node.call(PATH, { jobId: '1' }, 'switched')).status
  expect(await status()).toBe(404)
  await node.node.client.send('app/switched', { type: 'DISABLE' })
  await until(async () => (await status()) === 403, { timeoutMs: 5_000 }, 'a refusal')
  await node.node.client.send('app/switched', { type: 'ENABLE' })
  await until(async () => (await status()) === 404, { timeoutMs: 5_000 }, 'an answer')
})

it('gives each app another key, and one app only once', async () => {
  const other = await node.addApp('other')
  expect(other).toMatch(/^[0-9a-f]{32}$/)
  expect(other).not.toBe(key)
  const again = await node.operate('POST', '/jobs/apps', { name: 'other' })
  expect(again).toMatchObject({ status: 409, body: { error: { code: 'already-exists' } } })
  const token = await node.operate('POST', '/jobs/apps/other/token')
  const given = { name: 'other', token: String(token.body['token']), jobId: '1' }
  expect((await node.raw(PATH, given)).status).toBe(404)
  expect((await node.operate('POST', '/jobs/apps/nobody/token')).status).toBe(404)
})
