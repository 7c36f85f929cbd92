/** `troupe config print`, and mistakes of every kind: each names the file, the line and the setting. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { defineApp } from '../../src/index.ts'
import { parseConfig } from '../../src/protocol/index.ts'
import { type Ran, run } from './rig.ts'

const shop = defineApp({
  name: 'shop',
  config: z.strictObject({
    currency: z.enum(['eur', 'usd']).default('eur'),
    hours: z
      .number()
      .min(1)
      .default(2)
      .transform((hours) => hours * 3_600_000),
    apiKey: z.string().optional(),
    tax: z
      .object({ percent: z.number().default(19), authToken: z.string().default('t0p') })
      .optional(),
    stores: z.array(z.object({ name: z.string(), password: z.string() })).default([]),
  }),
})
const plain = defineApp({ name: 'plain' })

let cwd: string
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-config-'))
})
afterAll(() => rm(cwd, { recursive: true, force: true }))

async function withFile(text: string, ...argv: string[]): Promise<Ran> {
  await writeFile(join(cwd, 'c.yaml'), text)
  return run([...argv, '--config', 'c.yaml'], { cwd, apps: [shop, plain] })
}

const FILE = `name: n9
http:
  port: 9999
  users:
    - { name: ann, role: admin, tokenSha256: ${'ab'.repeat(32)} }
limits:
  idBytesMax: 100
apps:
  shop:
    currency: usd
    apiKey: k-1234567
    stores:
      - { name: main, password: pw-1234567 }
`

describe('config print', () => {
  it('says of every setting its value and where that comes from', async () => {
    const flags = ['--listen', '127.0.0.2:9998', '--data', '/d', '--log-level', 'warn']
    flags.push('--shards', '128')
    const { code, out, err } = await withFile(FILE, 'config', 'print', ...flags)
    expect(code, err).toBe(0)
    const lines = out.split('\n')
    for (const line of [
      'name: "n9"  # c.yaml:1',
      'cluster: "troupe"  # default',
      'shards: 128  # --shards',
      'data: "/d"  # --data',
      '  host: "127.0.0.2"  # --listen',
      '  port: 9998  # --listen',
      '  # queues: those of all tasks of this node  # default',
      '  # tls: none: this address speaks plain HTTP  # default',
      '  level: "warn"  # --log-level',
      '  idBytesMax: 100  # c.yaml:7',
      '  addressBytesMax: 1024  # default',
      '    currency: "usd"  # c.yaml:10',
      // As it is written, not as the app then has it.
      '    hours: 2  # default',
    ]) {
      expect(lines).toContain(line)
    }
  })

  it('says what a listener leaves out, and where keys lie but not what they are', async () => {
    const { out } = await withFile(
      `http: { tls: { certFile: c.pem, keyFile: k.pem } }
listeners:
  - { app: a, port: 1, anonymous: [10.0.0.0/8] }
  - { app: b, port: 2, host: "::1", anonymous: [10.0.0.0/8], anonymousRole: operate }
  - { app: c, port: 3 }
`,
      ...['config', 'print', '--json'],
    )
    const { settings } = JSON.parse(out) as { settings: { path: string; value: unknown }[] }
    const shown = (path: string) => settings.find((one) => one.path === path)?.value
    const anonymous = ['10.0.0.0/8']
    expect(shown('http.tls.keyFile')).toBe('k.pem')
    expect(shown('listeners')).toEqual([
      { app: 'a', port: 1, host: '127.0.0.1', anonymous, anonymousRole: 'read' },
      { app: 'b', port: 2, host: '::1', anonymous, anonymousRole: 'operate' },
      { app: 'c', port: 3, host: '127.0.0.1' },
    ])
  })

  it('has the cluster that the node joins, by flags and by the file', async () => {
    const file = 'cluster: c1\nnats:\n  servers: [nats://a:1]\n  zone: z1\n'
    const flags = ['--nats', 'nats://b:2,nats://c:3', '--cluster', 'main']
    const lines = (await withFile(file, 'config', 'print', ...flags)).out.split('\n')
    expect(lines).toContain('cluster: "main"  # --cluster')
    expect(lines).toContain('  servers: ["nats://b:2","nats://c:3"]  # --nats')
    expect(lines).toContain('  zone: "z1"  # c.yaml:4')
    expect(lines).toContain('  replicas: 1  # default')
    const own = (await withFile(file, 'config', 'print')).out.split('\n')
    expect(own).toContain('cluster: "c1"  # c.yaml:1')
    expect(own).toContain('  servers: ["nats://a:1"]  # c.yaml:3')
    const flagsAlone = await run(['config', 'print', ...flags], { cwd })
    expect(flagsAlone.out).toContain('  # zone: none: standbys are anywhere  # default')
  })

  it('without a file, all defaults', async () => {
    const { out } = await run(['config', 'print'], { cwd, apps: [] })
    expect(out).toMatch(/^name: ".*" {2}# the host's name$/m)
    const others = out.split('\n').filter((line) => line.includes('#') && !line.startsWith('name'))
    expect(others.length).toBeGreaterThan(30)
    for (const line of others) expect(line).toMatch(/ {2}# default$/)
  })

  it('never shows what sounds like a secret, at any depth', async () => {
    for (const json of [[], ['--json']]) {
      const { out } = await withFile(FILE, 'config', 'print', ...json)
      expect(out).not.toMatch(/k-1234567|pw-1234567|abab|t0p/)
      expect(out).toContain('***')
      expect(out).toContain('ann')
    }
  })

  it('prints YAML that means the same', async () => {
    const { out } = await withFile(
      'limits: { idBytesMax: 77 }\nworker: { queues: [a] }\n',
      'config',
      'print',
    )
    const again = parse(out) as { apps: object; limits: Record<string, number> }
    expect(again.limits['idBytesMax']).toBe(77)
    const config = parseConfig(out, 'again')
    expect(config.worker?.queues).toEqual(['a'])
    expect((await withFile(out, 'config', 'print')).code).toBe(0)
  })

  it('prints one object under --json', async () => {
    const { out } = await withFile('data: here\n', 'config', 'print', '--json')
    const { settings } = JSON.parse(out) as { settings: { path: string }[] }
    expect(settings).toContainEqual({ path: 'data', value: 'here', from: 'c.yaml:1' })
    expect(settings).toContainEqual({ path: 'worker.queues', value: null, from: 'default' })
  })

  it('the shipped example is what the defaults are', async () => {
    const text = await readFile(new URL('../../config/troupe.yaml', import.meta.url), 'utf8')
    const values = ({ out }: Ran) =>
      (JSON.parse(out) as { settings: { path: string; value: unknown }[] }).settings
        .filter(({ path }) => !path.startsWith('apps'))
        .map(({ path, value }) => `${path}=${JSON.stringify(value)}`)
        .sort()
    const shipped = await withFile(text, 'config', 'print', '--json')
    expect(values(shipped)).toEqual(values(await withFile('', 'config', 'print', '--json')))
  })
})

/** Each kind of mistake, wherever it is noticed. */
const MISTAKES: readonly (readonly [kind: string, text: string, told: RegExp])[] = [
  ['no YAML', 'name: [', /^error: c\.yaml:1: not YAML: /],
  ['a key twice', 'name: a\nname: b\n', /^error: c\.yaml:2: not YAML: .*unique/],
  ['two documents', 'name: a\n---\nname: b\n', /^error: c\.yaml:\d: not YAML: /],
  ['an alias of nothing', 'name: a\ndata: *x\n', /^error: c\.yaml:2: .*alias/i],
  [
    'aliases without end',
    `apps:\n  a: &a [1, 1]\n${[...'bcdefghi'].map((key, at) => `  ${key}: &${key} [${`*${'abcdefgh'[at]},`.repeat(9)}]\n`).join('')}`,
    /^error: c\.yaml:3: aliases: /,
  ],
  ['no section at all', '- a\n', /^error: c\.yaml:1: the file: wanted is a section/],
  [
    'a setting that there is not',
    '\nnmae: x\n',
    /^error: c\.yaml:2: nmae: there is no such setting/,
  ],
  ['a wrong type', 'http:\n  port: x\n', /^error: c\.yaml:2: http\.port: wanted is a port/],
  ['a section that is none', 'http: 9800\n', /^error: c\.yaml:1: http: wanted is a section/],
  ['an entry of a list', 'worker:\n  queues:\n    - 7\n', /^error: c\.yaml:3: worker\.queues\.0: /],
  [
    'limits that do not fit each other',
    'name: a\nlimits: {payloadBytesMax: 999999999}\n',
    /^error: c\.yaml:2: limits: payloadBytesMax/,
  ],
  [
    'an app that there is not',
    'apps:\n  shup: {}\n',
    /^error: c\.yaml:2: apps\.shup: there is no app "shup"; did you mean "shop"\?/,
  ],
  [
    'an app without settings',
    'apps:\n  plain:\n    a: 1\n',
    /^error: c\.yaml:2: apps\.plain: this app takes no configuration/,
  ],
  [
    'a value of an app',
    'apps:\n  shop:\n    hours: 1\n    currency: gbp\n',
    /^error: c\.yaml:4: apps\.shop\.currency: /,
  ],
  [
    'a setting that an app does not have',
    'apps:\n  shop:\n    hours: 1\n    curency: eur\n',
    /^error: c\.yaml:4: apps\.shop\.curency: /,
  ],
  [
    'a value deep in an app that is missing',
    'apps:\n  shop:\n    stores:\n      - name: a\n',
    /^error: c\.yaml:4: apps\.shop\.stores\.0\.password: /,
  ],
  [
    'two mistakes of an app',
    'apps:\n  shop:\n    hours: 0\n    currency: gbp\n',
    /^error: c\.yaml:\d: apps\.shop.*\nc\.yaml:\d: apps\.shop/,
  ],
]

describe.each([
  ['config print', ['config', 'print']],
  ['start', ['start', '--http', '0']],
] as const)('a mistake told by %s names its line and its path', (_name, argv) => {
  it.each(MISTAKES)('%s', async (_kind, text, told) => {
    const { code, err, out } = await withFile(text, ...argv)
    expect(err).toMatch(told)
    expect([code, out]).toEqual([2, ''])
  })
})

it.each([
  [
    'an address that others reach',
    'name: a\nhttp:\n  host: 0.0.0.0\n',
    /^error: c\.yaml:3: http\.host: /,
  ],
  [
    'a file of a token that there is not',
    'http:\n  users:\n    - name: a\n      role: read\n      tokenFile: none\n',
    /^error: c\.yaml:5: http\.users\.0\.tokenFile: /,
  ],
])('start names the line of %s', async (_kind, text, told) => {
  const { code, err } = await withFile(text, 'start')
  expect(err).toMatch(told)
  expect(code).toBe(2)
})

it('a flag is not looked for in the file', async () => {
  const { err } = await withFile('http:\n  port: 1\n', 'start', '--http', '0.0.0.0:0')
  expect(err).toMatch(/^error: http\.host: /)
})
