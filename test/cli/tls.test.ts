/** Verbs and a node that speaks TLS: whom they trust, and what they say when they do not. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeAuthority, makeCertificate } from '../gateway/certificate-files.ts'
import { type Rig, startRig } from '../gateway/rig.ts'
import { run } from './rig.ts'

let cwd: string
let ca: string
let rig: Rig
let plain: Rig
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-cli-tls-'))
  ca = await makeAuthority(cwd)
  rig = await startRig({ gateway: { tls: await makeCertificate(cwd, 'node') } })
  plain = await startRig()
  await writeFile(join(cwd, 'empty.pem'), 'nothing')
})
afterAll(async () => {
  await rig.close()
  await plain.close()
  await rm(cwd, { recursive: true, force: true })
})

const list = (url: string, argv: string[], env = {}) =>
  run(['actors', 'list', '--http', url, ...argv], { cwd, env })

it('trust the authority of --ca, or of TROUPE_CA, for streams too', async () => {
  const { url } = rig.gateway
  expect(await list(url, ['--ca', 'ca.pem'])).toMatchObject({ code: 0, out: 'no actors\n' })
  expect(await list(url, [], { TROUPE_CA: ca })).toMatchObject({ code: 0 })
  const interrupt = new AbortController()
  const watched = run(['actors', 'watch', '--http', url, '--ca', ca, '--json'], {
    ...{ cwd, interrupt: interrupt.signal, onOut: () => interrupt.abort() },
  })
  expect((await watched).out).toContain('"live"')
})

it.each<[string, string[], number, RegExp]>([
  ['no authority', [], 3, /the certificate of https:.* is not trusted: .*--ca FILE or TROUPE_CA/],
  ['another one', ['--ca', 'node.pem'], 3, /is not trusted/],
  ['no file', ['--ca', 'none.pem'], 2, /--ca: .*none\.pem/],
  ['a file of something else', ['--ca', 'empty.pem'], 2, /--ca: empty\.pem holds no certificate/],
])('say what is wrong with %s', async (_what, argv, code, message) => {
  const ran = await list(rig.gateway.url, argv)
  expect([ran.code, ran.err]).toEqual([code, expect.stringMatching(message)])
})

it('say that the URL is of the other kind', async () => {
  const wrong = await list(plain.gateway.url.replace('http:', 'https:'), [])
  expect([wrong.code, wrong.err]).toEqual([
    3,
    expect.stringMatching(/does not speak TLS: try http:/),
  ])
  const other = await list(rig.gateway.url.replace('https:', 'http:'), [])
  expect([other.code, other.err]).toEqual([
    6,
    expect.stringMatching(/if it speaks TLS: --http https/),
  ])
})
