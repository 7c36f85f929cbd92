/** The verbs against a real node over HTTP, in this process. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AppVerb, defineApp } from '../../src/node/index.ts'
import { type Rig, startRig } from '../gateway/rig.ts'
import { until } from '../waiting.ts'
import { type Ran, run } from './rig.ts'

const echo: AppVerb = {
  path: ['shop', 'echo'],
  summary: 'says what it was given',
  arguments: '[words...]',
  options: [{ flags: '--times <n>', description: 'how often', default: '1' }],
  examples: ['troupe shop echo -- a b'],
  run: async (call) => {
    const { status } = await call.http({ method: 'GET', path: '/health' })
    call.print(
      JSON.stringify({
        words: call.arguments,
        times: call.options['times'],
        json: call.json,
        status,
      }),
    )
    call.note('a note')
  },
}
const count: AppVerb = {
  path: ['shop', 'count'],
  summary: 'says how it went by its exit code',
  arguments: '<code>',
  run: async (call) => Number(call.arguments[0]),
}
/** Goes on until it is interrupted, and then fails or returns. */
const hang: AppVerb = {
  path: ['shop', 'hang'],
  summary: 'waits for Ctrl-C',
  arguments: '<end>',
  run: async ({ arguments: [end], print, signal }) => {
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
    print('hangs')
    await aborted
    if (end === 'fail') throw new Error('was aborted')
  },
}
/** A signal is how it ends. */
const serve: AppVerb = { ...hang, path: ['shop', 'serve'], serves: true }
const apps = [defineApp({ name: 'shop', verbs: [echo, count, hang, serve] })]

let rig: Rig
const troupe = (...argv: string[]): Promise<Ran> =>
  run(argv, { apps, env: { TROUPE_HTTP: rig.gateway.url, TROUPE_AUTHOR: 'zoë' } })
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig.close())

async function ok(...argv: string[]): Promise<string> {
  const { code, out, err } = await troupe(...argv)
  expect(code, err).toBe(0)
  return out
}

describe('actors', () => {
  it('start, send, get, history, events', async () => {
    expect(await ok('actors', 'start', 'order/1', '{"customer":"ann"}')).toMatch(
      /^order\/1 {2}draft/,
    )
    expect(await ok('actors', 'send', 'order/1', 'OPEN', '{"amount":5}')).toMatch(
      /order\/1 {2}open/,
    )
    const page = await ok('actors', 'get', 'order/1')
    expect(page).toContain('order/1  open  (active)')
    expect(page).toContain('"amount": 5')
    expect(await ok('actors', 'history', 'order/1')).toMatch(
      /TURN +WHEN +CAUSE[\s\S]*OPEN +draft → open/,
    )
    expect(await ok('actors', 'events', 'order/1')).toMatch(/PAY +charging/)
    expect(await ok('actors', 'send', 'order/1', 'OPEN', '{"amount":9}')).toContain(
      'nothing changed',
    )
    expect(await ok('actors', 'send', 'order/1', '{"type":"ASK"}')).toContain('"amount": 5')
  })

  it('reach ids that need escapes', async () => {
    await ok('actors', 'start', 'order/a%2Fb c', '{"customer":"ann"}')
    expect(await ok('actors', 'get', 'order/a%2Fb%20c')).toContain('order/a%2Fb%20c  draft')
    await ok('actors', 'start', 'order/..', '{"customer":"ann"}')
    expect(await ok('actors', 'get', 'order/..')).toContain('order/..  draft')
  })

  it('pause, resume, patch, cancel, delete, audit', async () => {
    await ok('actors', 'start', 'order/2', '{"customer":"bob"}')
    expect(await ok('actors', 'pause', 'order/2', '--reason', 'look', '--wait')).toContain('paused')
    expect(await ok('actors', 'get', 'order/2')).toMatch(/paused +by zoë now: look/)
    const dry = await ok('actors', 'resume', 'order/2', '--state', 'open', '--dry-run')
    expect(dry).toMatch(/^dry run: nothing was changed; it would be in open/)
    expect(await ok('actors', 'resume', 'order/2', '--state', 'open')).toMatch(
      /order\/2 {2}open {2}\(active/,
    )
    expect(await ok('actors', 'patch', 'order/2', '{"amount":3}', '--dry-run')).toContain(
      'amount: 0 → 3',
    )
    await ok('actors', 'patch', 'order/2', '{"amount":3}')
    expect(await ok('actors', 'cancel', 'order/2', '--reason', 'twice')).toContain('stopped')
    expect(await ok('actors', 'delete', 'order/2')).toContain('deleted')
    const audit = await ok('actors', 'audit', 'order/2')
    expect(audit).toMatch(/delete[\s\S]*cancel[\s\S]*patch[\s\S]*resume[\s\S]*pause/)
    expect(audit).toContain('zoë')
    expect(await ok('audit', 'order/2')).toBe(audit)
    expect((await ok('audit', 'order/2', '--limit', '1')).trim().split('\n')).toHaveLength(2)
  })

  it('resume --retry runs a failed task again', async () => {
    await ok('actors', 'start', 'order/3', '{"customer":"bob"}')
    await ok('actors', 'send', 'order/3', 'OPEN', '{"amount":5000}')
    await ok('actors', 'send', 'order/3', 'PAY')
    await until(
      async () => (await ok('actors', 'get', 'order/3')).includes('parked'),
      { timeoutMs: 10_000 },
      'it to park',
    )
    expect(await ok('actors', 'get', 'order/3')).toContain('troupe actors resume order/3 --retry')
    await ok('actors', 'patch', 'order/3', '{"amount":5}')
    await ok('actors', 'resume', 'order/3', '--retry')
    await until(
      async () => (await ok('actors', 'get', 'order/3')).includes('paid'),
      { timeoutMs: 10_000 },
      'it to be paid',
    )
  })

  it('list and count', async () => {
    await ok('actors', 'start', 'order/l1', '{"customer":"lee"}')
    await ok('actors', 'start', 'order/l2', '{"customer":"lee"}')
    const list = await ok('actors', 'list', '--machine', 'order', '--where', 'customer=lee')
    expect(list).toMatch(/ADDRESS +STATE +CONDITION[\s\S]*order\/l1 +draft +active[\s\S]*order\/l2/)
    const first = JSON.parse(
      await ok(
        'actors',
        'list',
        '--machine',
        'order',
        '--id-prefix',
        'l',
        '--limit',
        '1',
        '--json',
      ),
    )
    expect(first.rows).toHaveLength(1)
    const second = JSON.parse(
      await ok('actors', 'list', '--limit', '1', '--cursor', first.cursor, '--json'),
    )
    expect(second.rows[0].address).toBe('order/l2')
    expect(await ok('actors', 'list', '--id-prefix', 'nobody')).toBe('no actors\n')
    expect(await ok('actors', 'count', '--machine', 'order')).toMatch(
      /COUNT +MACHINE[\s\S]* in all/,
    )
  })
})

it('machines list and show', async () => {
  expect(await ok('machines', 'list')).toMatch(/order +1 +5 +shop/)
  await ok('actors', 'start', 'order/m', '{"customer":"m"}')
  const chart = await ok('machines', 'show', 'order', '--actor', 'm')
  expect(chart).toContain('stateDiagram-v2')
  expect(chart).toContain('class draft current')
})

it('gives verbs of apps their words and options', async () => {
  const { code, out, err } = await troupe(
    'shop',
    'echo',
    '--times',
    '2',
    '--',
    'echo',
    '-n',
    '--json',
    '$(id)',
  )
  expect([code, err]).toEqual([0, 'a note\n'])
  expect(JSON.parse(out)).toEqual({
    words: ['echo', '-n', '--json', '$(id)'],
    times: '2',
    json: false,
    status: 200,
  })
})

it('ends with the exit code that a verb of an app returns', async () => {
  expect(await troupe('shop', 'count', '0')).toEqual({ code: 0, out: '', err: '' })
  expect(await troupe('shop', 'count', '7')).toEqual({ code: 7, out: '', err: '' })
  for (const code of ['256', '1.5', 'many']) {
    const ran = await troupe('shop', 'count', code)
    expect(ran.code).toBe(1)
    expect(ran.err).toContain('an exit code is a whole number from 0 to 255')
  }
})

it.each(['return', 'fail'])('ends with 130 and no complaint on Ctrl-C (%s)', async (end) => {
  const interrupt = new AbortController()
  const onOut = () => interrupt.abort()
  const ran = await run(['shop', 'hang', end], { apps, interrupt: interrupt.signal, onOut })
  expect(ran).toEqual({ code: 130, out: 'hangs\n', err: '' })
})

it.each([
  ['return', 0, ''],
  ['fail', 1, 'error: was aborted\n'],
])('lets a verb that serves say how it ended (%s)', async (end, code, err) => {
  const interrupt = new AbortController()
  const onOut = () => interrupt.abort()
  const ran = await run(['shop', 'serve', end], { apps, interrupt: interrupt.signal, onOut })
  expect(ran).toEqual({ code, out: 'hangs\n', err })
})

it('takes a port alone, as start does', async () => {
  for (const http of [String(rig.gateway.port), `:${rig.gateway.port}`]) {
    const ran = await run(['actors', 'count', '--http', http])
    expect(ran.code, ran.err).toBe(0)
  }
})

it('tells failures as JSON when asked to', async () => {
  const { code, out, err } = await troupe('actors', 'get', 'order/nobody', '--json')
  expect([code, out]).toEqual([4, ''])
  expect(JSON.parse(err).error).toMatchObject({ code: 'unknown-actor', retry: false })
})

it('helps, with examples and exit codes', async () => {
  const top = await troupe('--help')
  expect(top.code).toBe(0)
  expect(top.out).toContain('Exit codes:')
  expect(top.out).toContain('--app <file>')
  for (const verb of [
    ['actors', 'resume'],
    ['actors', 'list'],
    ['machines', 'show'],
    ['start'],
    ['shop', 'echo'],
  ]) {
    const { out } = await troupe(...verb, '--help')
    expect(out, verb.join(' ')).toContain('Examples:\n  $ troupe')
  }
})

describe('where users are configured', () => {
  const token = 'o-0123456789abcdef'
  let guarded: Rig
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'troupe-token-'))
    await writeFile(join(directory, 'mine'), `${token}\n`)
    await writeFile(join(directory, 'two'), 'two words')
    const users = [{ name: 'ann', role: 'read', tokenFile: join(directory, 'mine') }] as const
    guarded = await startRig({ gateway: { users } })
  })
  afterAll(async () => {
    await guarded.close()
    await rm(directory, { recursive: true, force: true })
  })
  const list = (env: Record<string, string>, ...flags: string[]) =>
    run(['actors', 'list', ...flags], {
      apps,
      cwd: directory,
      env: { TROUPE_HTTP: guarded.gateway.url, ...env },
    })

  it('a verb says who calls by a flag, a variable or a file', async () => {
    expect((await list({}, '--token', token)).code).toBe(0)
    expect((await list({ TROUPE_TOKEN: token })).code).toBe(0)
    expect((await list({ TROUPE_TOKEN_FILE: 'mine' })).code).toBe(0)
    expect((await list({ TROUPE_TOKEN: 'wrong' }, '--token', token)).code).toBe(0)
  })

  it.each([
    [{}, 1, /a token is missing.*\n.*give your token: --token/],
    [{ TROUPE_TOKEN: 'wrong' }, 1, /no user has this token/],
    [{ TROUPE_TOKEN_FILE: 'two' }, 2, /TROUPE_TOKEN_FILE two: a token is one line/],
    [{ TROUPE_TOKEN_FILE: 'none' }, 2, /TROUPE_TOKEN_FILE: ENOENT/],
  ])('is told what is missing: %j', async (env, code, message) => {
    const ran = await list(env)
    expect(ran.code).toBe(code)
    expect(ran.err).toMatch(message)
  })

  it('is told that its role is not enough', async () => {
    const env = { TROUPE_HTTP: guarded.gateway.url, TROUPE_TOKEN: token }
    const ran = await run(['actors', 'delete', 'order/1'], { apps, env })
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('needs the role admin')])
  })
})
