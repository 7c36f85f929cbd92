/** The words of `troupe storage blobnode`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { settingsOf } from '../../../../../machines/storage/plane/blobnode/settings.ts'
import { threadAdvice } from '../../../../../machines/storage/plane/blobnode/thread-pool.ts'

const LEAST = { disk: ['1=/data/1'], idc: 'z1', rack: 'r1' }
let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-blobnode-settings-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function file(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

it('need only disks, a rack and an AZ', () => {
  expect(settingsOf(LEAST, {})).toMatchObject({
    ...{ idc: 'z1', rack: 'r1', logLevel: 'info', host: expect.stringMatching(/^[\w.-]+$/) },
    disks: [{ id: 1, path: '/data/1' }],
    listen: { host: '127.0.0.1', port: 8889 },
    ...{ token: undefined, nodes: undefined, chunkBytesMax: 16 * 1024 ** 3 },
  })
})

it('say all that can be said', () => {
  const tokenFile = file('token', 'a-secret-word-of-some-length\n')
  const nodes = 'http://10.0.0.1:9800/, https://n2'
  const said = { ...LEAST, disk: ['1=/a', '4294967295=/b=c'], tokenFile, nodes }
  const more = { listen: '[::1]:0', advertise: 'http://b1:1/', chunkBytesMax: '512m', host: 'b1' }
  expect(settingsOf({ ...said, ...more }, { TROUPE_TOKEN: 'mine' })).toMatchObject({
    disks: [
      { id: 1, path: '/a' },
      { id: 4294967295, path: '/b=c' },
    ],
    ...{ listen: { host: '::1', port: 0 }, advertise: 'http://b1:1', host: 'b1' },
    ...{ token: 'a-secret-word-of-some-length', chunkBytesMax: 512 * 1024 ** 2 },
    nodes: { urls: ['http://10.0.0.1:9800', 'https://n2'], token: 'mine', ca: undefined },
  })
  const own = settingsOf({ ...said, ca: file('ca', 'PEM') }, { TROUPE_TOKEN_FILE: tokenFile })
  expect(own.nodes).toMatchObject({ token: 'a-secret-word-of-some-length', ca: 'PEM' })
})

it.each([
  [{ disk: undefined }, /--disk: name its disks/],
  [{ disk: ['/data/1'] }, /--disk: "\/data\/1" is not an id/],
  [{ disk: ['0=/data/1'] }, /--disk:/],
  [{ disk: ['4294967296=/data/1'] }, /--disk:/],
  [{ disk: ['1=/a', '1=/b'] }, /--disk: 1 is there twice/],
  [{ disk: ['1=/a', '2=/a/'] }, /--disk: \/a is there twice/],
  [{ idc: undefined }, /--idc: it is needed/],
  [{ rack: 'r 1' }, /--rack: letters/],
  [{ host: '' }, /--host: letters/],
  [{ listen: 'x y' }, /"x y" is not a place/],
  [{ listen: 'h:99999' }, /is not a place/],
  [{ advertise: 'b1:8889' }, /--advertise: no URL/],
  [{ nodes: 'http://a,b' }, /--nodes: "b" is no URL/],
  [{ chunkBytesMax: '1K' }, /--chunk-bytes-max: "1K" is no size/],
  [{ logLevel: 'loud' }, /--log-level: debug, info/],
  [{ tokenFile: '/nowhere' }, /--token-file: cannot read \/nowhere/],
  [{ moveSlots: '65' }, /--move-slots: at most 64/],
  [{ inspectSlots: 'all' }, /--inspect-slots: a number from 0 to 64/],
])('%j is refused', (more, message) => {
  expect(() => settingsOf({ ...LEAST, ...more }, {})).toThrow(message)
})

it('a file that holds no token is refused, and not shown', () => {
  const tokenFile = file('token', 'two words')
  expect(() => settingsOf({ ...LEAST, tokenFile }, {})).toThrow(/--token-file: .* holds none/)
  expect(() => settingsOf({ ...LEAST, tokenFile }, {})).not.toThrow(/two words/)
})

it('say how many tasks are taken, and from which nodes', () => {
  const alone = { ca: undefined, token: undefined }
  expect(settingsOf(LEAST, {})).toMatchObject({
    ...{ moveSlots: 1, inspectSlots: 1 },
    taskNodes: { urls: ['http://127.0.0.1:9800'], ...alone },
  })
  const slots = { moveSlots: '0', inspectSlots: '64' }
  const http = 'http://10.0.0.1:9800/'
  expect(settingsOf({ ...LEAST, ...slots, http }, { TROUPE_NATS: 'n1' })).toMatchObject({
    ...{ moveSlots: 0, inspectSlots: 64 },
    taskNodes: { urls: ['http://10.0.0.1:9800'], ...alone },
  })
  const env = { TROUPE_HTTP: 'http://n3' }
  expect(settingsOf(LEAST, env).taskNodes?.urls).toEqual(['http://n3'])
  expect(settingsOf({ ...LEAST, nodes: 'http://n2' }, env).taskNodes?.urls).toEqual(['http://n2'])
  // Over NATS no ids of 64 bits come whole.
  expect(settingsOf({ ...LEAST, nats: 'n1' }, env).taskNodes).toBeUndefined()
  expect(settingsOf(LEAST, { TROUPE_NATS: 'n1' }).taskNodes).toBeUndefined()
})

it('too few threads for files are told of', () => {
  expect(threadAdvice(1, {})).toBeUndefined()
  expect(threadAdvice(3, {})).toMatch(/^4 threads .* 3 disks: start it with UV_THREADPOOL_SIZE=12$/)
  expect(threadAdvice(3, { UV_THREADPOOL_SIZE: '12' })).toBeUndefined()
})
