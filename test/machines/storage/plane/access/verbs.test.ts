/** The verbs put, get and rm against a node: what a shell gets, and what is left of a file that did not come. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { BLOB_BYTES_MAX } from '../../../../../machines/storage/plane/access/limits.ts'
import { accessRoutes } from '../../../../../machines/storage/plane/access/routes.ts'
import { accessVerbs } from '../../../../../machines/storage/plane/access/verbs.ts'
import { codeModeOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure } from '../../../../../machines/storage/plane/erasure/index.ts'
import { defineApp } from '../../../../../src/index.ts'
import { type RunInit, run } from '../../../../cli/rig.ts'
import { type Rig, startRig } from '../../../../gateway/rig.ts'
import { Twins } from './twins.ts'

const VID = 7
let erasure: Erasure
let rig: Rig
let twins: Twins
let directory: string
const app = defineApp({
  name: 'objects',
  routes: () => accessRoutes(twins.deps()),
  verbs: accessVerbs,
})
beforeAll(async () => {
  erasure = await Erasure.open({ threads: 1 })
  twins = new Twins(erasure, codeModeOf('EC6P3'), [VID])
  rig = await startRig({ apps: [app] })
})
afterAll(async () => {
  await rig.close()
  await erasure.close()
})
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-objects-'))
  twins.conditions.clear()
  return () => rm(directory, { recursive: true, force: true })
})

const troupe = (argv: string[], init: RunInit = {}) =>
  run(['storage', ...argv], { apps: [app], env: { TROUPE_HTTP: rig.gateway.url }, ...init })

async function ok(...argv: string[]): Promise<string> {
  const { code, out, err } = await troupe(argv)
  expect(code, err).toBe(0)
  return out
}

async function fileOf(bytes: Buffer, name = 'in'): Promise<string> {
  const file = join(directory, name)
  await writeFile(file, bytes)
  return file
}

describe('a file', () => {
  it('is put, brought back and deleted', async () => {
    const bytes = randomBytes(100_000)
    const id = (await ok('put', await fileOf(bytes))).trim()
    expect(id).toMatch(/^[\w-]+$/)
    const out = join(directory, 'out')
    expect(await ok('get', id, '-o', out)).toBe('')
    expect((await readFile(out)).equals(bytes)).toBe(true)
    expect((await readdir(directory)).sort()).toEqual(['in', 'out'])
    expect(await ok('rm', id)).toBe(`${id}  deleted\n`)
    expect(await troupe(['get', id, '-o', out])).toMatchObject({ code: 4, out: '' })
    // What was there before stays.
    expect((await readFile(out)).equals(bytes)).toBe(true)
  })

  it('is told in JSON', async () => {
    const put = JSON.parse(await ok('put', await fileOf(Buffer.from('hello')), '--json'))
    expect(put).toEqual({ id: expect.any(String), size: 5, mode: 'EC6P3' })
    const file = join(directory, 'out')
    const got = JSON.parse(await ok('get', put.id, '--output', file, '--json'))
    expect(got).toEqual({ id: put.id, file, bytes: 5 })
    expect((await troupe(['get', put.id, '--json'])).code).toBe(2)
    const removed = await troupe(['rm', put.id, '--json'])
    expect(JSON.parse(removed.out)).toEqual([{ id: put.id, status: 'deleted' }])
  })

  it('goes to standard output, and by range', async () => {
    const id = (await ok('put', await fileOf(Buffer.from('0123456789')))).trim()
    expect(await ok('get', id)).toBe('0123456789')
    expect(await ok('get', id, '--range', '2-4')).toBe('234')
    expect(await ok('get', id, '--range', '7-')).toBe('789')
    expect(await ok('get', id, '--range=-2')).toBe('89')
    expect(await troupe(['get', id, '--range', 'x'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('--range'),
    })
  })

  it('that does not come whole leaves nothing', async () => {
    const bytes = randomBytes(2 * BLOB_BYTES_MAX)
    const id = (await ok('put', await fileOf(bytes))).trim()
    const blob = twins.lastBid
    twins.spoil('corrupt', VID, blob, 0, 1, 2, 3)
    const ran = await troupe(['get', id, '-o', join(directory, 'out')])
    expect(ran.code).toBe(6)
    expect(await readdir(directory)).toEqual(['in'])
  })

  it('shows how far it is to a person', async () => {
    const file = await fileOf(randomBytes(100_000))
    const { err } = await troupe(['put', file], { isTty: true })
    expect(err).toContain('put [')
  })
})

it('a file that is not of the size that it has is not stored', async () => {
  // Its size is a page, and its content a line.
  const ran = await troupe(['put', '/sys/kernel/uevent_seqnum'])
  expect(ran).toMatchObject({ out: '', err: expect.stringContaining('became shorter') })
})

it('a file without a size is put as it comes', async () => {
  const id = (await ok('put', '/proc/self/status')).trim()
  expect(await ok('get', id)).toContain('VmRSS')
})

it('what cannot be written is said of the file that was named', async () => {
  const id = (await ok('put', await fileOf(Buffer.from('a')))).trim()
  const file = join(directory, 'nowhere', 'out')
  expect(await troupe(['get', id, '-o', file])).toMatchObject({
    code: 2,
    err: expect.stringContaining(`${file} cannot be written: ENOENT`),
  })
})

it('what is no file is said so', async () => {
  expect(await troupe(['put', directory])).toMatchObject({
    code: 2,
    err: expect.stringContaining('is a directory'),
  })
  expect((await troupe(['put', join(directory, 'nothing')])).code).toBe(2)
})

it('of several objects each is told, and what is not there fails the verb', async () => {
  const first = (await ok('put', await fileOf(Buffer.from('a')))).trim()
  twins.spoil('none', VID, twins.lastBid, ...Array(9).keys())
  const second = (await ok('put', await fileOf(Buffer.from('b')))).trim()
  expect(await troupe(['rm', first, second])).toMatchObject({
    code: 4,
    out: `${first}  there is no such object\n${second}  deleted\n`,
  })
})

it('what units follow later is said to be accepted', async () => {
  const id = (await ok('put', await fileOf(Buffer.from('a')))).trim()
  twins.set('away', VID, 0)
  expect(await ok('rm', id)).toBe(
    `${id}  accepted: units that are away follow when they are back\n`,
  )
})

it('a mode is asked for by its name', async () => {
  const file = await fileOf(Buffer.from('a'))
  expect(await troupe(['put', file, '--mode', 'EC99'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('EC6P3'),
  })
})
