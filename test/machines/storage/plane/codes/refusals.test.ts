/** Refusals: their numbers and names, and their way through the platform's gateway and back. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  mayHaveMoved,
  nothingIsThere,
  numberedAnswer,
  REFUSALS,
  readRefusal,
  refusal,
  refusalAnswer,
  refusalText,
  StorageRefusal,
  storageAnswer,
  storageParsers,
} from '../../../../../machines/storage/plane/codes/index.ts'
import { type AppRoute, defineApp, ERROR_CODES, TroupeError } from '../../../../../src/index.ts'
import { type Rig, startRig } from '../../../../gateway/rig.ts'

const routes: AppRoute[] = [
  {
    method: 'GET',
    path: '/refuse/:status',
    handle: async ({ params }) => refusalAnswer(refusal(Number(params['status']), 'not "now"')),
  },
  {
    method: 'GET',
    path: '/as-status/:status',
    handle: async ({ params }) => numberedAnswer(refusal(Number(params['status']), 'not "now"')),
  },
  {
    method: 'GET',
    path: '/fail',
    handle: async () => refusalAnswer(new TroupeError('forbidden', 'not you')),
  },
  {
    method: 'POST',
    path: '/echo',
    parsers: storageParsers,
    handle: async ({ body }) => storageAnswer(body),
  },
]

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ apps: [defineApp({ name: 'refusing', routes: () => routes })] })
})
afterAll(() => rig.close())

it('has a number, a name and a code of the platform', () => {
  const no = refusal(913, 'disk 7 is repaired')
  expect(no).toBeInstanceOf(TroupeError)
  expect(no).toMatchObject({
    status: 913,
    code: 'conflict',
    retry: false,
    message: 'disk 7 is repaired',
    detail: { status: 913, name: 'no_way_back' },
  })
  expect(refusal(604, 'later').retry).toBe(true)
  expect(refusal(999, 'of a foreign server')).toMatchObject({ status: 999, code: 'internal' })
})

it('has each name once, and codes that the platform knows', () => {
  const kinds = Object.values(REFUSALS)
  expect(new Set(kinds.map(({ name }) => name)).size).toBe(kinds.length)
  for (const { name, code, isRetryable } of kinds) {
    expect(name).toMatch(/^[a-z_]+$/)
    expect(ERROR_CODES[code].retry).toBe(isRetryable)
  }
})

it.each([
  [700, { error: 'not "now"', code: 'nothing_to_do' }],
  [913, { error: 'not "now"', code: 'no_way_back' }],
])('leaves the paths of the old store with its number as the status: %i', async (status, body) => {
  const answer = await rig.call('GET', `/as-status/${status}`)
  expect(answer).toMatchObject({ status, body })
  expect(readRefusal(answer.status, answer.text)).toEqual(refusal(status, 'not "now"'))
})

it('is told at those paths as text and code, whatever went wrong', () => {
  const answer = numberedAnswer(new TroupeError('malformed', 'no vuid'))
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.body as string)).toEqual({ error: 'no vuid', code: 'malformed' })
  expect(() => numberedAnswer(new RangeError('a fault of ours'))).toThrow(RangeError)
})

it.each([
  ['deadline', 503, '1'],
  ['moved', 503, '1'],
  ['busy', 503, '1'],
  ['unavailable', 503, '1'],
  ['no-answer', 504, '1'],
  ['unknown-actor', 404, undefined],
  ['finished', 409, undefined],
  ['store-failed', 500, undefined],
] as const)('what a node was refused with %s leaves those paths with %i', (code, status, later) => {
  const answer = numberedAnswer(new TroupeError(code, 'not now'))
  expect(answer.status).toBe(status)
  expect(answer.headers?.['retry-after']).toBe(later)
  expect(JSON.parse(answer.body as string)).toEqual({ error: 'not now', code })
})

it.each([
  [913, 409, undefined],
  [904, 404, undefined],
  [615, 507, undefined],
  [671, 500, undefined],
  [604, 503, '1'],
  [675, 504, '1'],
])('leaves a node and arrives: %i', async (status, httpStatus, retryAfter) => {
  const answer = await rig.call('GET', `/refuse/${status}`)
  expect(answer.status).toBe(httpStatus)
  expect(answer.headers['retry-after']).toBe(retryAfter)
  expect(answer.body).toEqual({ error: 'not "now"', code: REFUSALS[status]!.name, status })
  expect(readRefusal(answer.status, answer.text)).toEqual(refusal(status, 'not "now"'))
})

it('leaves other errors to the gateway', async () => {
  const answer = await rig.call('GET', '/fail')
  expect(answer.status).toBe(403)
  expect(readRefusal(answer.status, answer.text)).toBeUndefined()
})

it('arrives from a blobnode, whose status it is', () => {
  const no = refusal(651, 'blob 7 is not here')
  expect(JSON.parse(refusalText(no))).toEqual({ error: no.message, code: 'bid_not_found' })
  expect(readRefusal(651, refusalText(no))).toEqual(no)
  expect(readRefusal(651, 'no JSON')).toBeInstanceOf(StorageRefusal)
  expect(readRefusal(404, 'no JSON')).toBeUndefined()
})

it('keeps the digits of ids through the gateway', async () => {
  const init = {
    body: '{"vuid":18446744073709551615}',
    headers: { 'content-type': 'application/json' },
  }
  const answer = await rig.call('POST', '/echo', init)
  expect(answer.text).toBe('{"vuid":18446744073709551615}')
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
})

it('a disk that is not served now may be served again; broken ones and other chunks give nothing more', () => {
  for (const status of [613, 621, 623, 624]) expect(nothingIsThere(refusal(status, ''))).toBe(true)
  for (const status of [611, 604, 651, 658]) expect(nothingIsThere(refusal(status, ''))).toBe(false)
  for (const status of [611, 613, 621]) expect(mayHaveMoved(refusal(status, ''))).toBe(true)
  for (const other of [refusal(604, ''), new Error('621')]) expect(mayHaveMoved(other)).toBe(false)
})
