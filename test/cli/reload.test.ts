/** SIGHUP: users are read again from the configuration, everything else waits; a closed terminal ends the node. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runCli, type Terminal } from '../../src/cli/index.ts'
import { call } from '../gateway/rig.ts'
import { until } from '../waiting.ts'

const WAIT = { timeoutMs: 20_000 }
const ANN = 'ann-0123456789abcdef'
const BEA = 'bea-0123456789abcdef'

let cwd: string
let signal: (name: string) => void
let isGone: boolean
let node: { url: string; out: string; err: string; ended: Promise<number> }
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-reload-'))
  await writeFile(join(cwd, 'ann'), ANN)
  await writeFile(join(cwd, 'bea'), BEA)
  await configure('[{ name: ann, role: read, tokenFile: ann }]')
  isGone = false
  node = await serving()
})
afterEach(async () => {
  signal('SIGTERM')
  await node.ended
  await rm(cwd, { recursive: true, force: true })
})

const configure = (users: string, more = '') =>
  writeFile(join(cwd, 'c.yaml'), `http:\n  port: 0\n  users: ${users}\n${more}`)

async function serving(): Promise<typeof node> {
  const own = { url: '', out: '', err: '', ended: Promise.resolve(-1) }
  const calls = new Map<string, (name: string) => void>()
  const terminal: Terminal = {
    ...{
      env: { NO_COLOR: '1' },
      cwd,
      isTty: false,
      isErrorTty: true,
      script: undefined,
      exit: () => {},
    },
    write: (chunk) => {
      own.out += String(chunk)
    },
    writeError: (text) => {
      own.err += text
    },
    hasHungUp: () => isGone,
    onSignal: (tell, names = ['SIGINT', 'SIGTERM']) => {
      for (const name of names) calls.set(name, tell)
      return () => {}
    },
  }
  signal = (name) => calls.get(name)?.(name)
  own.ended = runCli({ apps: [], argv: ['start', '--config', 'c.yaml', '--data', 'd'], terminal })
  own.url = await until(
    () => /listens on (\S+)/.exec(own.out)?.[1],
    WAIT,
    () => own.err,
  )
  return own
}

const statusOf = async (token: string) => {
  const headers = { authorization: `Bearer ${token}` }
  return (await call(node.url, 'GET', '/troupe/v1/count', { headers })).status
}
const says = (text: RegExp) =>
  until(
    () => text.test(node.err),
    WAIT,
    () => `${text} in ${node.err}`,
  )

it('takes the users of the file from then on, and names what waits for a restart', async () => {
  expect([await statusOf(ANN), await statusOf(BEA)]).toEqual([200, 401])
  const limits = 'limits:\n  pageCountMax: 7\n'
  await configure('[{ name: bea, role: operate, tokenFile: bea }]', limits)
  signal('SIGHUP')
  await says(/INFO {2}the configuration was read again users=1/)
  await says(/WARN {2}these have changed too, and wait for a restart settings=\["limits"\]/)
  expect([await statusOf(ANN), await statusOf(BEA)]).toEqual([401, 200])
})

it.each([
  [
    '[{ name: bea, role: boss, tokenFile: bea }]',
    /c\.yaml:3: http\.users\.0\.role: wanted is one of/,
  ],
  [
    '[{ name: bea, role: read, tokenFile: none }]',
    /c\.yaml:3: http\.users\.0\.tokenFile: .*no such file/,
  ],
  ['[', /not YAML/],
  ['[]', /c\.yaml:3: http\.users: none are left/],
])('a file with a mistake changes nothing: %s', async (users, why) => {
  await configure(users)
  signal('SIGHUP')
  await says(/ERROR the configuration cannot be read again; what was read before stays/)
  expect(node.err).toMatch(why)
  expect(await statusOf(ANN)).toBe(200)
})

it('of a terminal that is closed ends the node', async () => {
  isGone = true
  signal('SIGHUP')
  expect(await node.ended).toBe(0)
})
