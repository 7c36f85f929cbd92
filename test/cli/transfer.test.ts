/** Bytes of any length through a verb, both ways: whole, refused, broken off, and not over NATS. */
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type AppRoute,
  type AppVerb,
  defineApp,
  type VerbBytes,
  type VerbCall,
} from '../../src/node/index.ts'
import { TroupeError } from '../../src/protocol/index.ts'
import { type Rig, startRig } from '../gateway/rig.ts'
import { run } from './rig.ts'

const PIECES = 64
const piece = randomBytes(256 * 1024)
const sent = { pieces: 0, isEnded: false }

const sha256 = (bytes: Iterable<Uint8Array>) => {
  const hash = createHash('sha256')
  for (const chunk of bytes) hash.update(chunk)
  return hash.digest('hex')
}
const whole = sha256(Array(PIECES).fill(piece) as Buffer[])

async function* pieces(): AsyncGenerator<Uint8Array, void, void> {
  try {
    for (let at = 0; at < PIECES; at++) {
      sent.pieces++
      yield piece
    }
  } finally {
    sent.isEnded = true
  }
}

const routes: AppRoute[] = [
  {
    method: 'PUT',
    path: '/bytes',
    body: 'stream',
    handle: async ({ body, headers, query, author }) => {
      const hash = createHash('sha256')
      for await (const chunk of body as Readable) hash.update(chunk as Buffer)
      const { 'content-length': length = null, 'x-mine': mine } = headers
      return {
        status: 201,
        body: { hash: hash.digest('hex'), length, mine, q: query.get('q'), author },
      }
    },
  },
  {
    method: 'PUT',
    path: '/refused',
    body: 'stream',
    handle: async () => {
      throw new TroupeError('busy', 'not now')
    },
  },
  {
    method: 'GET',
    path: '/bytes',
    handle: async () => ({ headers: { 'x-mine': 'yes' }, body: Readable.from(pieces()) }),
  },
  {
    method: 'GET',
    path: '/broken',
    handle: async () => ({
      headers: { 'content-length': '1000000' },
      body: (async function* () {
        yield piece
        throw new Error('no more')
      })(),
    }),
  },
]

/** What a verb does, for one test. */
let act: (call: VerbCall) => Promise<void>
const verb: AppVerb = {
  path: ['mine', 'move'],
  summary: 'moves bytes',
  run: (call) => act(call),
}
const app = defineApp({ name: 'mine', routes: () => routes, verbs: [verb] })

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ apps: [app] })
})
afterAll(() => rig.close())

const move = (how: typeof act, ...flags: string[]) => {
  act = how
  Object.assign(sent, { pieces: 0, isEnded: false })
  const env = { TROUPE_HTTP: rig.gateway.url, TROUPE_AUTHOR: 'zoë' }
  return run(['mine', 'move', ...flags], { apps: [app], env })
}

async function text(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

const put = (path: string, body: VerbBytes) => async (call: VerbCall) => {
  const headers = { 'x-mine': 'yes' }
  const request = { method: 'PUT', path, query: { q: 'a b' }, headers, body } as const
  const { status, bytes } = await call.transfer(request)
  call.print(`${status} ${await text(bytes)}`)
}

describe('bytes that are sent', () => {
  it.each([
    ['with their length', { length: PIECES * piece.length }, String(PIECES * piece.length)],
    ['without', {}, null],
  ] as const)('%s arrive as they are', async (_name, known, length) => {
    const ran = await move(put('/bytes', { bytes: pieces(), ...known }))
    expect(ran.err).toBe('')
    expect(ran.code).toBe(0)
    const { status, body } = { status: ran.out.slice(0, 3), body: JSON.parse(ran.out.slice(4)) }
    expect(status).toBe('201')
    expect(body).toEqual({ hash: whole, length, mine: 'yes', q: 'a b', author: 'zoë' })
  })

  it('are sent no further once they are refused', async () => {
    const ran = await move(put('/refused', { bytes: pieces() }))
    expect([ran.code, ran.err]).toEqual([6, expect.stringContaining('not now')])
    expect(sent.isEnded).toBe(true)
  })

  it('are refused before there is one of them', async () => {
    async function* late(): AsyncGenerator<Uint8Array, void, void> {
      await new Promise(() => {})
      yield piece
    }
    const ran = await move(put('/refused', { bytes: late() }))
    expect([ran.code, ran.err]).toEqual([6, expect.stringContaining('not now')])
  })

  it('and cannot be read end the verb with that', async () => {
    async function* broken(): AsyncGenerator<Uint8Array, void, void> {
      yield piece
      throw new TroupeError('malformed', 'the file is gone')
    }
    const ran = await move(put('/bytes', { bytes: broken() }))
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining('the file is gone')])
  })
})

describe('bytes that come back', () => {
  const get = (path: string) => async (call: VerbCall) => {
    const { status, headers, bytes } = await call.transfer({ method: 'GET', path })
    const hash = createHash('sha256')
    for await (const chunk of bytes) hash.update(chunk)
    call.print(`${status} ${String(headers['x-mine'])} ${hash.digest('hex')}`)
  }

  it('are all of them', async () => {
    expect((await move(get('/bytes'))).out).toBe(`200 yes ${whole}\n`)
  })

  it('fail where the answer breaks off', async () => {
    const ran = await move(get('/broken'))
    expect([ran.code, ran.out]).toEqual([6, ''])
  })

  it('are an error where the node answers one', async () => {
    const ran = await move(get('/nowhere'))
    expect([ran.code, ran.err]).toEqual([4, expect.stringContaining('/nowhere')])
  })

  it('are not waited for longer than --timeout', async () => {
    const deaf = createServer(() => {})
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve))
    const { port } = deaf.address() as { port: number }
    const ran = await move(get('/bytes'), '--http', `http://127.0.0.1:${port}`, '--timeout', '1ms')
    expect([ran.code, ran.err]).toEqual([6, expect.stringContaining('did not answer')])
    deaf.close()
  })
})
