/**
 * What can be wrong with a command line or a configuration: each has its exit code and a message on
 * standard error, and nothing is started or changed.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { defineApp } from '../../src/node/index.ts'
import { type Rig, startRig } from '../gateway/rig.ts'
import { run } from './rig.ts'

let rig: Rig
let cwd: string
let before: unknown
beforeAll(async () => {
  rig = await startRig()
  cwd = await mkdtemp(join(tmpdir(), 'troupe-cli-'))
  await writeFile(join(cwd, 'typo.yaml'), 'data: x\nhttp:\n  prt: 1\n')
  await writeFile(join(cwd, 'open.yaml'), 'http:\n  host: 0.0.0.0\n')
  await writeFile(join(cwd, 'apps.yaml'), 'apps:\n  sho: {}\n')
  await rig.start('a')
  before = (await rig.call('GET', '/troupe/v1/actors/order/a')).body
})
afterAll(async () => {
  await rig.close()
  await rm(cwd, { recursive: true, force: true })
})

const CASES: [line: string[], code: number, says: RegExp][] = [
  [['frobnicate'], 2, /unknown command 'frobnicate'/],
  [['actors', 'lst'], 2, /Did you mean list/],
  [['actors', 'get'], 2, /missing required argument 'actor'/],
  [['actors', 'get', 'order/a', '--nope'], 2, /unknown option '--nope'/],
  [['actors', 'get', 'order/a', 'b'], 2, /too many arguments/],
  [['actors', 'get', 'order'], 2, /is not an address/],
  [['actors', 'get', 'order/nobody'], 4, /unknown-actor\) see who lives here: troupe actors list/],
  [['actors', 'start', 'nope/1'], 4, /troupe machines list/],
  [['actors', 'start', 'order/a', '{"customer":"x"}'], 5, /already-exists/],
  [['actors', 'start', 'order/b', '{"customer":1}'], 1, /customer/],
  [['actors', 'start', 'order/b', '{customer:1}'], 2, /single quotes/],
  [['actors', 'send', 'order/a', 'NOPE'], 1, /NOPE/],
  [['actors', 'send', 'order/a', 'OPEN', '[1]'], 2, /must be a JSON object/],
  [['actors', 'send', 'order/a', 'OPEN', '{"amount":"x"}'], 1, /amount/],
  [['actors', 'resume', 'order/a'], 5, /conflict/],
  [['actors', 'resume', 'order/a', '--state', 'nowhere'], 1, /draft, open/],
  [['actors', 'patch', 'order/a', '{"amount":"x"}'], 1, /invalid-context/],
  [['actors', 'list', '--where', 'nonsense'], 2, /FIELD=VALUE/],
  [['actors', 'list', '--limit', 'many'], 2, /limit/],
  [['actors', 'list', '--condition', 'sleepy'], 2, /parked/],
  [['actors', 'list', '--timeout', 'soon'], 2, /--timeout: must be a duration/],
  [['machines', 'show', 'nope'], 4, /nope/],
  [['actors', 'list', '--http', 'ftp://x'], 2, /is not a URL/],
  [['start', '--http', 'nowhere'], 2, /HOST:PORT/],
  [['start', '--http', '127.0.0.1:99999'], 2, /HOST:PORT/],
  [['start', '--http', '0.0.0.0:0'], 2, /will not listen on "0\.0\.0\.0"/],
  [['start', '--name', 'a b'], 2, /--name/],
  [['start', '--log-level', 'loud'], 2, /one of: debug/],
  [['start', '--config', 'missing.yaml'], 2, /there is no such file/],
  [['start', '--config', 'typo.yaml'], 2, /typo\.yaml:3: http\.prt: .*did you mean "port"/],
  [['start', '--config', 'open.yaml'], 2, /will not listen/],
  [['start', '--app', 'missing.ts'], 2, /there is no such file/],
  [['start', '--app', 'typo.yaml'], 2, /a module of JavaScript or TypeScript/],
  [['start', '--config', 'apps.yaml'], 2, /apps\.sho: there is no app "sho"/],
  [['--app', 'missing.ts', 'actors', 'list'], 2, /--app .*missing\.ts: there is no such file/],
  [['--app=missing.ts', 'start'], 2, /--app .*missing\.ts: there is no such file/],
  [['--app'], 2, /argument missing/],
  [['actors', 'count', '--where', 'a=b'], 2, /unknown option '--where'/],
]

it.each(CASES)('troupe %j: exit %i', async (argv, code, says) => {
  const ran = await run(argv, { cwd, env: { TROUPE_HTTP: rig.gateway.url } })
  expect(ran.err).toMatch(says)
  expect([ran.code, ran.out]).toEqual([code, ''])
  expect(ran.err).not.toMatch(/\n\s+at /)
  expect((await rig.call('GET', '/troupe/v1/actors/order/a')).body).toEqual(before)
  expect(existsSync(join(cwd, '.data'))).toBe(false)
})

it('says how to start a node when none answers: exit 3', async () => {
  const port = await freePort()
  const ran = await run(['actors', 'list', '--http', `127.0.0.1:${port}`])
  expect(ran).toMatchObject({ code: 3, out: '' })
  expect(ran.err).toContain(
    `no node answers at http://127.0.0.1:${port}; start one with: troupe start`,
  )
  const json = await run(['actors', 'list', '--json', '--http', `127.0.0.1:${port}`])
  expect(JSON.parse(json.err).error).toMatchObject({ code: 'unavailable', retry: true })
})

it('gives up on a node that does not answer: exit 6', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  const ran = await run(['actors', 'list', '--http', `127.0.0.1:${port}`, '--timeout', '1ms'])
  expect(ran).toMatchObject({ code: 6, out: '' })
  silent.close()
})

it('refuses two verbs of one name: exit 2', async () => {
  const verb = { path: ['actors', 'list'], summary: 'mine', run: async () => {} }
  const ran = await run(['--help'], { apps: [defineApp({ name: 'shop', verbs: [verb] })] })
  expect(ran.code).toBe(2)
  expect(ran.err).toContain('app shop brings the verb "troupe actors list": it is there already')
})

it.each([
  ['one below a verb', { path: ['actors', 'list', 'mine'] }, /"list" is a verb already/],
  ['an option of every verb', { options: [{ flags: '--json', description: 'x' }] }, /--json/],
  ['arguments that cannot be', { arguments: '<a...> <b>' }, /variadic/],
])('refuses a verb with %s: exit 2', async (_what, parts, says) => {
  const verb = { path: ['shop', 'buy'], summary: 'mine', run: async () => {}, ...parts }
  const ran = await run(['--help'], { apps: [defineApp({ name: 'shop', verbs: [verb] })] })
  expect(ran.code).toBe(2)
  expect(ran.err).toMatch(says)
  expect(ran.err).toContain('app shop brings the verb')
})

it('names TROUPE_APP when its file is not there: exit 2', async () => {
  const ran = await run(['actors', 'list'], { cwd, env: { TROUPE_APP: 'missing.mjs' } })
  expect(ran.code).toBe(2)
  expect(ran.err).toMatch(/TROUPE_APP .*missing\.mjs: there is no such file/)
})

it('refuses an author that is no name: exit 2', async () => {
  const ran = await run(['actors', 'list'], { env: { TROUPE_AUTHOR: 'a\nb' } })
  expect(ran.code).toBe(2)
  expect(ran.err).toContain('TROUPE_AUTHOR')
})

it.each([
  [404, 'text/html', '<h1>no</h1>'],
  [404, 'application/json', '{}'],
  [200, 'text/html', '<h1>hello</h1>'],
  [200, 'application/json', '{"rows":'],
])('tells another server from a node (%i %s): exit 3', async (status, type, body) => {
  const other = createHttpServer((_request, response) => {
    response.writeHead(status, { 'content-type': type }).end(body)
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  const ran = await run(['actors', 'list', '--http', `127.0.0.1:${port}`])
  expect(ran).toMatchObject({ code: 3, out: '' })
  expect(ran.err).toMatch(/Troupe node/)
  other.close()
})

it('shows no control characters of what others wrote', async () => {
  const other = createHttpServer((_request, response) => {
    const error = { code: 'conflict', message: 'a\u001b[2Jb\nc\u009b1m', retry: false }
    response.writeHead(409, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  const ran = await run(['actors', 'list', '--http', `127.0.0.1:${port}`])
  expect(ran.code).toBe(5)
  expect(ran.err.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  other.close()
})

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
