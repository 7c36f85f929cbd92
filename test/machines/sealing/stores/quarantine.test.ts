/** Data of aborted sectors are moved, and deleted only once they may be. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  LocalStore,
  LocalStores,
  QUARANTINE_RETENTION_MS,
} from '../../../../machines/sealing/stores/index.ts'
import { VirtualClock } from '../../../../src/adapters/memory/index.ts'
import { silentLog } from '../../../../src/adapters/system/index.ts'

const AT = 1_700_000_000_000
const DAY_MS = 86_400_000
const MARK = { sector: 's-t01000-3', at: AT, reason: 'Rejected', acknowledged: true }
let location: string
let store: LocalStore

beforeEach(async () => {
  location = mkdtempSync(join(tmpdir(), 'quarantine-'))
  store = await LocalStore.open(location)
  seal('data of 3')
})
afterEach(() => rmSync(location, { recursive: true, force: true }))

const inQuarantine = (...inner: string[]) => join(location, 'quarantine', ...inner)
const seal = (text: string) => writeFileSync(join(location, 'data/sealed/s-t01000-3'), text)
const names = async () => (await store.quarantine.list()).map(({ name }) => name)

it('takes all data at once, and the store is as new', async () => {
  const entry = await store.putAside({ ...MARK, taskId: 'thread/w.1#1:7:0' })
  expect(entry.name).toBe(`s-t01000-3-${AT}`)
  expect(readFileSync(inQuarantine(entry.name, 'sealed/s-t01000-3'), 'utf8')).toBe('data of 3')
  expect(await store.occupants()).toEqual([])
  expect(await store.quarantine.list()).toEqual([entry])

  seal('data of 3, again')
  const second = await store.putAside(MARK)
  expect(second.name).toBe(`s-t01000-3-${AT + 1}`)
  expect(await names()).toEqual([entry.name, second.name])
})

it('deletes what was acknowledged, after its time', async () => {
  const { name } = await store.putAside(MARK)
  expect(await store.quarantine.sweep(AT + DAY_MS - 1, DAY_MS)).toEqual([])
  expect(await names()).toEqual([name])
  expect(await store.quarantine.sweep(AT + DAY_MS, DAY_MS)).toEqual([name])
  expect(readdirSync(inQuarantine())).toEqual([])
})

it('keeps for ever what nobody has acknowledged', async () => {
  const { name } = await store.putAside({ ...MARK, acknowledged: false })
  const late = AT + 1_000 * DAY_MS
  expect(await store.quarantine.sweep(late, DAY_MS)).toEqual([])
  await expect(store.quarantine.acknowledge('s-t01000-4-1')).rejects.toThrow('has no entry')
  await expect(store.quarantine.acknowledge('../data')).rejects.toThrow('has no entry')
  await store.quarantine.acknowledge(name)
  expect(await store.quarantine.sweep(late, DAY_MS)).toEqual([name])
})

it('goes on with a deletion that was cut off', async () => {
  const { name } = await store.putAside(MARK)
  // As a kill leaves it: the data are gone in part, the marker is there.
  rmSync(inQuarantine(name, 'sealed'), { recursive: true })
  expect(await store.quarantine.sweep(AT + DAY_MS, DAY_MS)).toEqual([name])
  expect(existsSync(inQuarantine(name))).toBe(false)
})

it('touches nothing that it does not know, nor what lies elsewhere', async () => {
  const elsewhere = join(location, 'elsewhere')
  mkdirSync(elsewhere)
  writeFileSync(join(elsewhere, 'quarantine.json'), JSON.stringify(MARK))
  mkdirSync(inQuarantine('by-hand'), { recursive: true })
  symlinkSync(elsewhere, inQuarantine(`s-t01000-9-${AT}`))
  mkdirSync(inQuarantine(`s-t01000-8-${AT}`))
  writeFileSync(inQuarantine(`s-t01000-8-${AT}`, 'quarantine.json'), 'cut')
  writeFileSync(inQuarantine(`s-t01000-7-${AT}`), 'a file')
  expect(await store.quarantine.list()).toEqual([])
  expect(await store.quarantine.sweep(AT + 1_000 * DAY_MS, 0)).toEqual([])
  expect(existsSync(join(elsewhere, 'quarantine.json'))).toBe(true)
  expect(readdirSync(inQuarantine())).toHaveLength(4)
})

it('refuses a name that leads elsewhere', async () => {
  const mark = { ...MARK, sector: '../../s' }
  await expect(store.putAside(mark)).rejects.toThrow('can take no')
  expect(await store.occupants()).toEqual(['sealed/s-t01000-3'])
})

it('stores of a worker are swept together, and one that cannot be read holds up no other', async () => {
  const clock = new VirtualClock({ startMs: AT })
  const stores = new LocalStores({ clock, log: silentLog })
  const broken = mkdtempSync(join(tmpdir(), 'quarantine-'))
  await stores.open(broken)
  writeFileSync(join(broken, 'quarantine'), 'no directory')
  store = await stores.open(location)
  const held = store.location
  const { name } = await store.putAside({ ...MARK, acknowledged: false, taskId: 'a step' })
  await stores.sweep()
  const shown = { ...MARK, location: held, name, acknowledged: false }
  expect(await stores.quarantined()).toEqual([shown])
  await expect(stores.acknowledge('/elsewhere', name)).rejects.toThrow(`there are: ${broken}, `)
  await expect(stores.acknowledge(held, 's-t01000-4-1')).rejects.toThrow('has no entry')
  await stores.acknowledge(held, name)
  expect(await stores.quarantined()).toEqual([{ ...shown, acknowledged: true }])
  clock.jumpWall(QUARANTINE_RETENTION_MS)
  await stores.sweep()
  expect(await names()).toEqual([])
  stores.close()
  rmSync(broken, { recursive: true })
})
