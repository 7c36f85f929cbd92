/** Which way a worker takes: to a node by a key, or to NATS as one of its users. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { run } from './rig.ts'

let cwd: string

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-place-'))
})

afterEach(() => rm(cwd, { recursive: true, force: true }))

/** Nobody is there: the worker waits, and is told to go. */
async function worker(
  words: readonly string[],
  file?: object,
  env: Record<string, string> = {},
): Promise<string> {
  if (file !== undefined) await writeFile(join(cwd, 'w.yaml'), JSON.stringify(file, null, 2))
  const config = file === undefined ? [] : ['--config', 'w.yaml']
  const { signal } = new AbortController()
  // As soon as somebody listens.
  const told = (_type: string, tell: () => void) => queueMicrotask(tell)
  Object.assign(signal, { addEventListener: told })
  const { code, err } = await run(['worker', ...words, ...config], { cwd, env, interrupt: signal })
  return `${code} ${err}`
}

const SERVERS = ['nats://127.0.0.1:1']

it.each([
  [['--nats', SERVERS[0]!, '--key', 'k'], /^2 error: --key and --nats: a worker goes to a node/],
  [['--nats', SERVERS[0]!, '--server', 'http://x'], /^2 error: --server and --nats: /],
  [['--cluster', 'main', '--key', 'k'], /^2 error: --cluster: it belongs to --nats/],
  [['--nats', ','], /^2 error: --nats: name a server/],
  [['--nats', SERVERS[0]!, '--cluster', 'a.b'], /^2 error: --cluster: "a\.b" is not a letter/],
  [['--nats', SERVERS[0]!, '--user', 'worker'], /^2 error: --user worker: the password is missing/],
  [[], /^2 error: the key of the group is missing/],
])('%j is refused', async (words, message) => {
  expect(await worker(words)).toMatch(message)
})

it('a file may say of NATS what there is to say of a worker, and nothing of a node', async () => {
  const apps = {}
  const nats = { servers: SERVERS, user: 'worker', passwordFile: 'secret' }
  // It is read: what it names is not there.
  expect(await worker([], { apps, nats })).toMatch(/^2 error: w\.yaml:3: nats: ENOENT.*secret/)
  expect(await worker([], { apps, nats: { ...nats, weight: 2 } })).toMatch(
    /^2 error: w\.yaml:\d+: nats\.weight: it says something of nodes/,
  )
  expect(await worker([], { apps, nats, http: { port: 1 } })).toMatch(
    /^2 error: w\.yaml:\d+: http: of a worker's configuration only apps, nats, cluster count/,
  )
  // A server that is named wins.
  expect(await worker(['--server', 'http://127.0.0.1:1'], { nats })).toMatch(/the key .* missing/)
  expect(await worker(['--user', 'x'], { nats })).toMatch(/^2 error: --user: the file says/)
})

it('one that waits for NATS goes when it is told to', async () => {
  const log = ['--log-level', 'silent']
  expect(await worker(['--nats', SERVERS[0]!, ...log])).toBe('0 ')
  expect(await worker(log, undefined, { TROUPE_NATS: SERVERS[0]! })).toBe('0 ')
  expect(await worker(log, { nats: { servers: SERVERS } })).toBe('0 ')
})
