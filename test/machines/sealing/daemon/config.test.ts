/** The file of a worker: every key, the defaults, and what is refused and how it is said. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseWorkerConfig, readWorkerConfig } from '../../../../machines/sealing/daemon/config.ts'
import { parseDuration } from '../../../../machines/sealing/daemon/durations.ts'
import { shownConfig } from '../../../../machines/sealing/daemon/shown-config.ts'

const MANAGER = '[sector_manager]\nrpc_client.addr = "/ip4/127.0.0.1/tcp/1789"\n'
let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-daemon-config-'))
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

function parsed(text: string) {
  return parseWorkerConfig(MANAGER + text, 'worker.toml')
}

function refusal(text: string): string {
  try {
    parsed(text)
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'invalid-config' })
    return (thrown as Error).message
  }
  throw new Error('it was not refused')
}

const EVERYTHING = `
[worker]
name = "w1"
rpc_server.host = "10.0.0.7"
rpc_server.port = 17891
rpc_server.token_file = "secret"
ping_interval = "1m 30s"
local_pieces_dir = "/pieces/1"
local_pieces_dirs = ["/pieces/2"]
scan_persist_stores = ["/long"]
[metrics]
enable = true
http_listen = "127.0.0.1:9001"
[sector_manager]
rpc_client.addr = "http://user:pw@manager:1789"
rpc_client.headers = { Authorization = "Bearer abc" }
piece_token = "def"
[sealing]
allowed_miners = [1000, 2000]
allowed_sizes = ["2KiB", "32GiB"]
enable_deals = true
disable_cc = true
max_deals = 3
min_deal_space = "8GiB"
max_retries = 7
seal_interval = "31s"
recover_interval = "61s"
rpc_polling_interval = "181s"
request_task_max_retries = 4
ignore_proof_check = true
verify_after_pc2 = true
[[sealing_thread]]
location = "/stores/1"
name = "first"
plan = "snapup"
sealing.max_retries = 9
[[sealing_thread]]
plan = "wdpost"
[[attached]]
name = "long"
location = "/long"
readonly = true
[[attached]]
location = "/other"
[processors.limit]
pc1 = 2
c1 = 1
[processors.limitation.concurrent]
pc1 = 3
[processors.limitation.staggered]
pc1 = "5s"
[processors.ext_locks]
gpu = 1
[processors.static_tree_d]
"2KiB" = "/trees/2k"
[[processors.pc2]]
bin = "/bin/pc2"
args = ["--fast"]
stable_wait = "10s"
concurrent = 2
locks = ["gpu"]
envs = { CUDA = "0", API_TOKEN = "xyz" }
inherit_envs = false
auto_restart = false
numa_preferred = 1
cgroup.cpuset = "0-3"
cgroup.group_name = "seal/pc2"
timeout = "2h"
[troupe]
data = "/data"
nats = ["nats://u:p@10.0.0.1:4222", "nats://10.0.0.2:4222"]
cluster = "main"
group = "sealers"
user = "worker"
password_file = "/pw"
creds = "/creds"
inbox_prefix = "_INBOX_me"
quarantine = "2days"
[troupe.worker]
user = "taker"
`

it('reads every key', () => {
  const config = parseWorkerConfig(EVERYTHING, 'worker.toml')
  expect(config).toMatchObject({
    name: 'w1',
    rpcServer: { host: '10.0.0.7', port: 17_891, tokenFile: resolve('secret') },
    pingIntervalMs: 90_000,
    localPiecesDirs: ['/pieces/1', '/pieces/2'],
    metrics: { host: '127.0.0.1', port: 9_001 },
    manager: {
      addr: 'http://user:pw@manager:1789',
      headers: { Authorization: 'Bearer abc' },
      pieceToken: 'def',
    },
    attached: [
      { name: 'long', location: '/long', isReadonly: true },
      { name: '/other', location: '/other', isReadonly: false },
    ],
    data: '/data',
    cluster: {
      name: 'main',
      group: 'sealers',
      nats: {
        servers: ['nats://u:p@10.0.0.1:4222', 'nats://10.0.0.2:4222'],
        user: 'worker',
        passwordFile: '/pw',
        credsFile: '/creds',
        inboxPrefix: '_INBOX_me',
      },
      workerNats: { user: 'taker' },
    },
    quarantineMs: 2 * 86_400_000,
    http: null,
    warnings: ['worker.scan_persist_stores: not looked through; name stores as [[attached]]'],
  })
  expect(config.threads).toMatchObject([
    { index: 0, name: 'first', plan: 'snapup', location: '/stores/1' },
    { index: 1, name: 'wdpost-1', plan: 'wdpost', location: null },
  ])
})

it('reads every setting of a thread, its own before those of all', () => {
  const [first, second] = parseWorkerConfig(EVERYTHING, 'worker.toml').threads
  const shared = {
    allowedMiners: [1000, 2000],
    allowedSizes: ['2KiB', '32GiB'],
    enableDeals: true,
    disableCc: true,
    maxDeals: 3,
    minDealSpace: 8 * 2 ** 30,
    maxRetries: 7,
    sealIntervalMs: 31_000,
    recoverIntervalMs: 61_000,
    rpcPollingIntervalMs: 181_000,
    requestTaskMaxRetries: 4,
    ignoreProofCheck: true,
    verifyAfterPc2: true,
  }
  expect(second?.settings).toEqual(shared)
  expect(first?.settings).toEqual({ ...shared, maxRetries: 9 })
})

it('reads processors; the old form of limits counts where the new one says nothing', () => {
  const { processors } = parseWorkerConfig(EVERYTHING, 'worker.toml')
  expect(processors).toMatchObject({
    concurrent: { pc1: 3, c1: 1 },
    staggeredMs: { pc1: 5_000 },
    extLocks: { gpu: 1 },
    staticTreeD: { '2KiB': '/trees/2k' },
  })
  expect(processors.children['pc2']).toMatchObject([
    {
      bin: '/bin/pc2',
      args: ['--fast'],
      stableWaitMs: 10_000,
      concurrent: 2,
      locks: ['gpu'],
      envs: { CUDA: '0', API_TOKEN: 'xyz' },
      inheritEnvs: false,
      autoRestart: false,
      numaPreferred: 1,
      cgroup: { cpuset: '0-3', groupName: 'seal/pc2' },
      timeoutMs: 7_200_000,
    },
  ])
})

it('has the defaults of the old workers, but listens to this machine only', () => {
  const config = parsed('[[sealing_thread]]\nlocation = "/s"\n[[processors.c2]]\n')
  expect(config).toMatchObject({
    name: null,
    rpcServer: { host: '127.0.0.1', port: 17_890, tokenFile: null },
    pingIntervalMs: 30_000,
    metrics: null,
    cluster: null,
    attached: [],
    quarantineMs: 7 * 86_400_000,
  })
  expect(config.threads[0]).toMatchObject({ plan: 'sealer' })
  expect(config.threads[0]?.settings).toEqual({
    allowedMiners: [],
    allowedSizes: [],
    enableDeals: false,
    disableCc: false,
    maxDeals: null,
    minDealSpace: null,
    maxRetries: 5,
    sealIntervalMs: 30_000,
    recoverIntervalMs: 60_000,
    rpcPollingIntervalMs: 180_000,
    requestTaskMaxRetries: 3,
    ignoreProofCheck: false,
    verifyAfterPc2: false,
  })
  // A child without a command is this very program.
  expect(config.processors.children['c2']).toMatchObject([
    { bin: process.execPath, stableWaitMs: 5_000, concurrent: 64, inheritEnvs: true },
  ])
  expect(config.processors.children['c2']?.[0]?.args.slice(-3)).toEqual([
    'sealing',
    'processor',
    'c2',
  ])
})

it('names a thread by its directory, wherever in the file it stands', () => {
  const one = parsed('[[sealing_thread]]\nlocation = "/stores/a"\n').threads[0]
  const other = parsed(
    '[[sealing_thread]]\nlocation = "/stores/b"\n[[sealing_thread]]\nlocation = "/stores/x/../a"\n',
  ).threads[1]
  expect(one?.name).toMatch(/^a-[0-9a-f]{6}$/)
  expect(other?.name).toBe(one?.name)
})

it('refuses a directory that two threads have, also by another way', () => {
  mkdirSync(join(directory, 'store'))
  symlinkSync(join(directory, 'store'), join(directory, 'link'))
  const text = ['store', 'elsewhere', 'link']
    .map((name) => `[[sealing_thread]]\nlocation = "${join(directory, name)}"\n`)
    .join('')
  expect(refusal(text)).toContain(
    'sealing_thread[2].location is the same directory as sealing_thread[0].location',
  )
})

it('refuses a name that two threads have', () => {
  const text =
    '[[sealing_thread]]\nlocation = "/a"\nname = "x"\n[[sealing_thread]]\nlocation = "/b"\nname = "x"\n'
  expect(refusal(text)).toContain(
    'sealing_thread[1].name is the same name as sealing_thread[0].name',
  )
})

it.each([
  ['[[sealing_thread]]\n', 'sealing_thread[0].location: missing'],
  ['[[sealing_thread]]\nlocation = "/a"\nplan = "niporep"\n', 'sealing_thread[0].plan'],
  ['[sealing]\nmax_retires = 3\n', 'sealing.max_retires: no such key; did you mean "max_retries"?'],
  ['[sealing]\nseal_interval = 30\n', 'sealing.seal_interval'],
  ['[sealing]\nseal_interval = "30 parsecs"\n', '"30 parsecs" is not a duration'],
  ['[sealing]\nallowed_sizes = ["3KiB"]\n', 'sealing.allowed_sizes[0]: "3KiB" is no sector size'],
  ['[worker]\nname = "a/b"\n', 'worker.name: a letter or digit'],
  ['[worker]\nrpc_server.host = "0.0.0.0"\n', 'worker.rpc_server.token_file'],
  ['[[processors.pc1]]\nbinn = "x"\n', 'processors.pc1[0].binn: no such key; did you mean "bin"?'],
  ['[processors.limitation.concurrent]\npc11 = 1\n', 'did you mean "pc1"?'],
  ['[[processors.pc1]]\nlocks = ["gpx"]\n[processors.ext_locks]\ngpu = 1\n', 'did you mean "gpu"?'],
  ['[metrics]\nenable = true\nhttp_listen = "a b"\n', 'is not a host'],
  ['[troupe]\nhttp = "0.0.0.0:9801"\n', 'troupe.http'],
  ['[troupe]\nhttp = "127.0.0.1"\nnats = "nats://x:4222"\n', 'ask one of them'],
  ['[worker\n', 'worker.toml:3:'],
])('refuses %j and says where', (text, words) => {
  expect(refusal(text)).toContain(words)
})

it('only tells of keys of programs that know more', () => {
  const { warnings } = parsed(
    '[sealing]\nquantum_mode = true\n[processors.limitation.concurrent]\nquantum = 1\n[processors.limitation.staggered]\npc1 = "500ms"\n[[processors.c2]]\nlocks = ["gpu"]\n',
  )
  expect(warnings).toEqual([
    'sealing.quantum_mode: no such key; it is left out',
    'processors.limitation.concurrent.quantum: there is no such stage; it limits nothing',
    'processors.limitation.staggered.pc1: less than a second; it is left out',
    'processors.c2[0].locks: processors.ext_locks has no "gpu"; one holder at a time is assumed',
  ])
})

it('shows a configuration without its secrets', () => {
  const shown = JSON.stringify(shownConfig(parseWorkerConfig(EVERYTHING, 'worker.toml')))
  for (const secret of ['Bearer abc', 'user:pw', 'def"', 'xyz', 'u:p@'])
    expect(shown).not.toContain(secret)
  for (const told of ['"Authorization":"***"', 'manager:1789', '"CUDA":"0"', '10.0.0.1:4222'])
    expect(shown).toContain(told)
})

it('says which file cannot be read', () => {
  const missing = join(directory, 'missing.toml')
  expect(() => readWorkerConfig(missing)).toThrow(`cannot read ${missing}`)
  const large = join(directory, 'large.toml')
  writeFileSync(large, ' '.repeat(1_048_577))
  expect(() => readWorkerConfig(large)).toThrow('more than 1 MiB')
})

it.each([
  ['30s', 30_000],
  ['1m 30s', 90_000],
  ['1h30m', 5_400_000],
  ['180 seconds', 180_000],
  ['500ms', 500],
  ['2days', 172_800_000],
  ['1500us', 2],
])('reads the duration %s', (text, durationMs) => {
  expect(parseDuration(text)).toBe(durationMs)
})

it.each(['', '30', 's', '1x', '-1s', '1s x', '21days'])('refuses the duration %j', (text) => {
  expect(() => parseDuration(text)).toThrow(/not a duration|longer than 20 days/)
})
