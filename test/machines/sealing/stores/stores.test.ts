/**
 * A local store makes itself, keeps large values as they were put, and is emptied in one go; of long-term
 * stores: names, what can be written to, and that no path leads out.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  AttachedStores,
  INLINE_BYTES_MAX,
  isKeptCacheFile,
  LocalStore,
  LocalStores,
  replaceFile,
} from '../../../../machines/sealing/stores/index.ts'
import { VirtualClock } from '../../../../src/adapters/memory/index.ts'
import { silentLog } from '../../../../src/adapters/system/index.ts'

const SECTOR = { Miner: 1_000, Number: 3 }
let root: string
let location: string

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'store-')))
  location = join(root, 'store1')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const data = (...inner: string[]) => join(location, 'data', ...inner)

it('a file that cannot be replaced leaves no draft, which would take room for ever', async () => {
  const path = join(root, 'file')
  mkdirSync(path)
  await expect(replaceFile(path, 'new')).rejects.toThrow('EISDIR')
  expect(readdirSync(root)).toEqual(['file'])
})

it('makes itself, and leaves what is there', async () => {
  mkdirSync(data('sealed'), { recursive: true })
  writeFileSync(data('sealed', 's-t01000-3'), 'kept')
  writeFileSync(join(location, 'config.toml'), 'plan = "sealer"')
  const store = await LocalStore.open(location)
  expect(readdirSync(data())).toEqual([
    ...['cache', 'outputs', 'prepared', 'sealed', 'steps', 'unsealed', 'update', 'update-cache'],
  ])
  const paths = store.pathsOf(SECTOR)
  expect(paths.sealed).toBe(data('sealed', 's-t01000-3'))
  expect(readFileSync(paths.sealed, 'utf8')).toBe('kept')
  expect(await store.occupants()).toEqual(['sealed/s-t01000-3'])
  expect(readFileSync(join(location, 'config.toml'), 'utf8')).toBe('plan = "sealer"')
})

it('is one store under all names of its directory, held once', async () => {
  const stores = new LocalStores({ clock: new VirtualClock(), log: silentLog })
  const store = await stores.open(location)
  symlinkSync(location, join(root, 'alias'))
  expect(await stores.open(join(root, 'alias'))).toBe(store)
  expect(store.location).toBe(location)
  await expect(stores.open('store1')).rejects.toThrow('is no absolute path')
  const others = new LocalStores({ clock: new VirtualClock(), log: silentLog })
  await expect(others.open(location)).rejects.toThrow('is held by the process')
  stores.close()
  await others.open(location)
  others.close()
})

it('a small value stays as it is, a large one lies in a file', async () => {
  const store = await LocalStore.open(location)
  const small = { text: 'x'.repeat(INLINE_BYTES_MAX - 20) }
  expect(await store.put('pc1out', small)).toEqual({ inline: small })
  expect(await store.take({ inline: small })).toEqual(small)

  const large = { text: 'x'.repeat(INLINE_BYTES_MAX) }
  const held = await store.put('pc1out', large)
  expect(held).toMatchObject({ bytes: INLINE_BYTES_MAX + 11 })
  expect(await store.take(held)).toEqual(large)
  // Another value under the same name leaves the first one alone.
  const other = await store.put('pc1out', { text: 'y'.repeat(INLINE_BYTES_MAX) })
  expect(await store.take(held)).toEqual(large)
  expect(other).not.toEqual(held)
  await expect(store.put('../pc1out', large)).rejects.toThrow('cannot name a file')
})

it('a value that was changed, or is gone, is not taken for what was put', async () => {
  const store = await LocalStore.open(location)
  const held = await store.put('c1out', 'x'.repeat(INLINE_BYTES_MAX))
  if (!('file' in held)) throw new Error('it is small')
  const path = data(held.file)
  writeFileSync(path, readFileSync(path, 'utf8').replace('x', 'z'))
  await expect(store.take(held)).rejects.toThrow(`${path} was changed: its SHA-256 is`)
  await expect(store.take(held)).rejects.toMatchObject({ code: 'store-failed' })
  rmSync(path)
  await expect(store.take(held)).rejects.toThrow('is not there')
  await expect(store.take({ ...held, file: '../../etc/passwd' })).rejects.toThrow('is no file of')
})

it('is emptied but for the outcomes of steps, and what a crash left of that goes at the next open', async () => {
  const store = await LocalStore.open(location)
  mkdirSync(data('cache', 's-t01000-3'))
  writeFileSync(data('cache', 's-t01000-3', 'p_aux'), 'x')
  writeFileSync(data('steps', 'a.outcome.json'), '{}')
  await store.wipe()
  expect(await store.occupants()).toEqual([])
  expect(existsSync(data('cache'))).toBe(true)
  expect(readdirSync(data('steps'))).toEqual(['a.outcome.json'])
  expect(existsSync(join(location, 'wiped'))).toBe(false)

  mkdirSync(join(location, 'wiped', 'w-1', 'cache'), { recursive: true })
  await LocalStore.open(location)
  expect(existsSync(join(location, 'wiped'))).toBe(false)
})

it('knows what of a cache is kept', () => {
  const kept = ['p_aux', 't_aux', 'sc-02-data-tree-r-last.dat', 'sc-02-data-tree-r-last-7.dat']
  const ofSealing = [
    ...['sc-02-data-layer-1.dat', 'sc-02-data-tree-c-0.dat', 'sc-02-data-tree-c.dat'],
    ...['sc-02-data-tree-d.dat', '.pc2_running', 'p_aux.part', 'p_aux.draft'],
  ]
  expect([...kept, ...ofSealing].filter(isKeptCacheFile)).toEqual(kept)
})

describe('a long-term store', () => {
  const attached = new AttachedStores([
    { name: 'a', location: '/mnt/a' },
    { location: '/mnt/b', readonly: true },
    { name: 'c', location: '/mnt/c', readonly: false },
  ])

  it('is named by its location unless it has a name, and written to unless it is read-only', () => {
    expect(attached.list().map(({ name }) => name)).toEqual(['a', '/mnt/b', 'c'])
    expect(attached.writable()).toEqual(['a', 'c'])
    expect(() => attached.get('d')).toThrow(
      'no store "d" is attached to this worker (there are: a,',
    )
    expect(attached.pathsOf('a', { Miner: 1_000, Number: 7 }).updateCache).toBe(
      '/mnt/a/update-cache/s-t01000-7',
    )
  })

  it('refuses two of a name, and relative paths', () => {
    const twice = [{ location: '/mnt/a' }, { name: '/mnt/a', location: '/mnt/b' }]
    expect(() => new AttachedStores(twice)).toThrow('two attached stores are named "/mnt/a"')
    expect(() => new AttachedStores([{ location: 'mnt' }])).toThrow('is no absolute path')
  })

  it('finds paths inside a store only', () => {
    expect(attached.resolve('a', 'pieces/x')).toBe('/mnt/a/pieces/x')
    expect(attached.resolve('a', '/pieces/x')).toBe('/mnt/a/pieces/x')
    for (const inner of ['', '.', '..', '../b/x', 'x/../../b', 'x\0y', '/']) {
      expect(() => attached.resolve('a', inner), JSON.stringify(inner)).toThrow('is no path inside')
    }
  })

  it('knows what is free', async () => {
    const here = new AttachedStores([
      { name: 'tmp', location: tmpdir() },
      { name: 'gone', location: '/nowhere/at/all' },
    ])
    expect(await here.freeBytes('tmp')).toBeGreaterThan(0)
    await expect(here.freeBytes('gone')).rejects.toThrow('ENOENT')
  })
})
