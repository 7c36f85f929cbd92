/** `troupe pools` against a node: what a person types, reads and is refused; a restart in between. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { platform } from '../../../machines/platform/index.ts'
import { createGateway, type Gateway } from '../../../src/gateway/index.ts'
import { createNode, type TroupeNode } from '../../../src/index.ts'
import { run } from '../../cli/rig.ts'
import { until } from '../../waiting.ts'

let directory: string
let node: TroupeNode
let gateway: Gateway

async function begin(): Promise<void> {
  node = await createNode({ dataDirectory: join(directory, 'node'), apps: [platform] })
  gateway = await createGateway({ node, port: 0, graceMs: 500 })
}

async function end(): Promise<void> {
  await gateway.close()
  await node.stop()
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-pools-'))
  await begin()
})

afterEach(async () => {
  await end()
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

const troupe = (...words: string[]) =>
  run(['pools', ...words, '--http', gateway.url], { apps: [platform] })

const acquire = (holder: string, fields: object = {}) =>
  node.client.ask('pool/builds', { type: 'ACQUIRE', holder, ...fields })

it('create, list, show, resize, release', async () => {
  expect((await troupe('list')).err).toContain('There are no pools yet')
  const made = await troupe('create', 'builds', '--slots', '2', '--limit', 'pc1=1')
  expect(made).toMatchObject({ code: 0, out: 'builds  0/2 out\n  name pc1  0/1 out\n' })
  await acquire('a', { stage: 'pc1', leaseMs: 60_000 })
  await acquire('b', { units: 2, priority: 3 })
  expect((await troupe('list')).out).toBe('builds  1/2 out  1 hold  1 wait\n')
  expect((await troupe('show', 'builds')).out.split('\n')).toEqual([
    'builds  1/2 out',
    '  name pc1  1/1 out',
    expect.stringMatching(
      /^ {2}holds {2}a {2}1 of pc1 {2}token 1 {2}lease 60 s, ends in [3-6]\d s$/,
    ),
    '  waits  b  2  ticket 2  priority 3',
    '',
  ])
  const { holders } = JSON.parse((await troupe('show', 'builds', '--json')).out)
  const left = holders[0].leaseUntil - Date.now()
  expect(left).toBeGreaterThan(30_000)
  expect(left).toBeLessThanOrEqual(60_000)
  const resized = await troupe('resize', 'builds', '--slots', '4', '--limit', 'pc1=2', 'pc2=3')
  expect(resized.out).toContain('builds  3/4 out')
  expect(resized.out).toContain('name pc2  0/3 out')
  expect((await troupe('release', 'builds', 'a')).out).toContain('builds  2/4 out')
  const json = JSON.parse((await troupe('show', 'builds', '--json')).out)
  expect(json).toMatchObject({ pool: 'builds', slots: 4, used: 2, holders: [{ holder: 'b' }] })
})

it('names with gaps, and what each may do with', async () => {
  const gaps = ['--gap', 'pc2=500ms', 'c0=5s', 'c1=2m', 'c2=1h']
  const made = await troupe('create', 'builds', '--slots', '4', '--limit', 'pc2=2', ...gaps)
  expect(made.out.split('\n').slice(1, 4)).toEqual([
    '  name pc2  0/2 out  gap 500ms',
    '  name c0  0 out  gap 5s',
    '  name c1  0 out  gap 2m',
  ])
  const anyOf = ['c0', 'c1', 'c2', 'c3', 'c4'].map((lane) => ['pc2', lane])
  const resized = await troupe('resize', 'builds', '--gap', 'c0=1h')
  expect(resized.out).not.toContain('c1')
  await acquire('a', { anyOf })
  await acquire('b', { units: 3, anyOf: [['c0', 'lock']] })
  await acquire('c', { anyOf, ref: 'its word' })
  await acquire('d', { anyOf })
  expect((await troupe('show', 'builds')).out.split('\n').slice(1)).toEqual([
    '  name pc2  2/2 out',
    '  name c0  1 out  gap 1h, not over yet',
    '  holds  a  1 of pc2+c0  token 1  until released',
    '  holds  c  1 of pc2+c1  token 2  until released',
    '  waits  b  3 of c0+lock  ticket 2',
    '  waits  d  1 of pc2+c0 or pc2+c1 or pc2+c2 or 2 more  ticket 4',
    '',
  ])
  expect(JSON.parse((await troupe('show', 'builds', '--json')).out)).toMatchObject({
    ...{ gaps: { c0: 3_600_000 }, gapped: ['c0'], usedByName: { pc2: 2, c0: 1 } },
    holders: [{ names: ['pc2', 'c0'] }, { names: ['pc2', 'c1'], ref: 'its word' }],
    waiters: [{ anyOf: [['c0', 'lock']] }, { anyOf }],
  })
})

it('choices, and who waits for which', async () => {
  const choices = ['--choice', 'pc1=s1+c0,s1+c1', 'pc2=c2']
  const made = await troupe('create', 'builds', '--slots', '9', '--limit', 'c0=1', ...choices)
  expect(made.out.split('\n').slice(2, 4)).toEqual([
    '  choice pc1  0 wait  s1+c0 or s1+c1',
    '  choice pc2  0 wait  c2',
  ])
  await acquire('a', { choice: 'pc1' })
  await troupe('resize', 'builds', '--choice', 'pc1=c0')
  await acquire('b', { choice: 'pc1' })
  await acquire('c', { anyOf: [['c1']] })
  expect((await troupe('show', 'builds')).out.split('\n').slice(1)).toEqual([
    '  name c0  1/1 out',
    '  choice pc1  1 wait  c0',
    '  holds  a  1 of s1+c0  token 1  until released',
    '  holds  c  1 of c1  token 2  until released',
    '  waits  b  1 of the choice pc1  ticket 2',
    '',
  ])
  const shown = JSON.parse((await troupe('show', 'builds', '--json')).out)
  expect(shown).toMatchObject({
    choices: { pc1: [['c0']] },
    holders: [{ choice: 'pc1', names: ['s1', 'c0'] }, { choice: null }],
    waiters: [{ choice: 'pc1', anyOf: [['c0']] }],
  })
})

it('says what is wrong', async () => {
  await troupe('create', 'builds', '--slots', '1')
  expect(await troupe('create', 'builds', '--slots', '1')).toMatchObject({ code: 5 })
  expect(await troupe('create', 'a/b', '--slots', '1')).toMatchObject({ code: 2 })
  expect(await troupe('create', 'c', '--slots', 'many')).toMatchObject({ code: 2 })
  expect(await troupe('create', 'c', '--slots', '0')).toMatchObject({ code: 2 })
  expect(await troupe('create', 'c')).toMatchObject({ code: 2 })
  expect(await troupe('create', 'c', '--slots', '1', '--limit', 'pc1')).toMatchObject({ code: 2 })
  expect(await troupe('resize', 'builds')).toMatchObject({ code: 2 })
  for (const gap of ['pc1', 'pc1=5', 'pc1=s', 'pc1=5d', '=5s', 'pc1=0s', 'a b=5s'])
    expect(await troupe('resize', 'builds', '--gap', gap), gap).toMatchObject({ code: 2 })
  for (const choice of ['pc1', 'pc1=', 'pc1=a+', 'pc1=a,a b', 'p c=a'])
    expect(await troupe('resize', 'builds', '--choice', choice), choice).toMatchObject({ code: 2 })
  const unknown = await troupe('show', 'c')
  expect(unknown).toMatchObject({ code: 4, err: expect.stringContaining('there is no pool c') })
  expect(await troupe('release', 'builds', 'x')).toMatchObject({
    code: 4,
    err: expect.stringContaining('x holds nothing here'),
  })
})

it('choices that would be too much beside all who hold are not taken over', async () => {
  await troupe('create', 'builds', '--slots', '1000')
  const texts = Array.from({ length: 500 }, (_, n) => `${n}`.padStart(250, 'x'))
  await Promise.all(texts.map((holder) => acquire(holder, { ref: holder.slice(-128) })))
  const options = Array.from({ length: 16 }, (_, n) => [`${n}`.padStart(64, 'n')])
  const choices = Object.fromEntries(Array.from({ length: 25 }, (_, n) => [`c${n}`, options]))
  const resize = (body: object) =>
    fetch(`${gateway.url}/pools/builds/resize`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const refused = await resize({ choices })
  expect(refused.ok).toBe(false)
  expect(await refused.text()).toContain('too-large')
  expect((await resize({ choices: { c0: options } })).ok).toBe(true)
})

it('a paused pool says so, and does what it was told once it is resumed', async () => {
  await troupe('create', 'builds', '--slots', '1')
  await acquire('a')
  await node.client.pause('pool/builds')
  const resized = await troupe('resize', 'builds', '--slots', '3')
  expect(resized).toMatchObject({ code: 0, out: expect.stringContaining('1/1 out  paused') })
  expect((await troupe('list')).out).toBe('builds  1/1 out  1 hold  0 wait  paused\n')
  await node.client.resume('pool/builds')
  expect((await troupe('list')).out).toBe('builds  1/3 out  1 hold  0 wait\n')
})

it('shows a lease that stands still, and none where there is none', async () => {
  await troupe('create', 'builds', '--slots', '2')
  await acquire('a', { leaseMs: 60_000 })
  await acquire('b')
  await node.client.pause('pool/builds', { timers: 'freeze' })
  const { out } = await troupe('show', 'builds')
  expect(out).toMatch(/holds {2}a {2}1 {2}token 1 {2}lease 60 s, stands still with [3-6]\d s left/)
  expect(out).toMatch(/holds {2}b {2}1 {2}token 2 {2}until released/)
})

it('a lease goes on over a restart of the node, and its end serves who waits', async () => {
  await troupe('create', 'builds', '--slots', '1')
  await acquire('a', { leaseMs: 1_500 })
  await acquire('b')
  await end()
  await begin()
  await until(
    async () => (await troupe('show', 'builds')).out.includes('holds  b  1  token 2'),
    { timeoutMs: 15_000, every: 100 },
    async () => `b holds the lock; ${(await troupe('show', 'builds')).out}`,
  )
})
