/**
 * Rows that were written once are read for ever. Each fixture is loaded into a fresh store: every
 * actor looks as it did, and goes on. To write the fixtures of the present form again:
 * `TROUPE_WRITE_GOLDEN=1 npm run test:only -- test/golden` (and look at the difference).
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { shardOf } from '../../src/protocol/index.ts'
import { actorKey } from '../../src/shard/keys.ts'
import { Harness } from '../shard/harness.ts'
import { code, get, seen, send } from '../shard/support.ts'
import {
  asJson,
  type Fixture,
  forms,
  formToWrite,
  names,
  openFixture,
  readFixture,
  rowsAsText,
  viewsOf,
  WRITE,
  writeFixtures,
} from './fixture.ts'
import { versionedOne, versionedTwo } from './machines.ts'
import { SCENARIOS, type Scenario, versioned } from './scenarios.ts'

const SHARDS = 2
/** A shard that cannot read its rows answers nobody: that is not worth a long wait. */
const PATIENCE_MS = 5_000

async function make(scenario: Scenario): Promise<Fixture> {
  const { machines, limits = {} } = scenario
  const h = new Harness({ machines, limits, shardCount: SHARDS, seed: 42 })
  const { rows, ...notes } = (await scenario.build(h)) ?? {}
  await h.advance(0)
  const nowMs = h.clock.now()
  return {
    nowMs,
    shardCount: SHARDS,
    rows: (rows as Fixture['rows'] | undefined) ?? rowsAsText(h),
    views: scenario.still ? await viewsOf(h) : {},
    notes: asJson(notes) as Fixture['notes'],
  }
}

if (WRITE !== undefined && WRITE !== '') {
  beforeAll(async () => {
    const made = new Map<string, Fixture>()
    for (const scenario of SCENARIOS) made.set(scenario.name, await make(scenario))
    writeFixtures(formToWrite(), made)
  })
}

describe.each(forms())('form %s of the rows', (form) => {
  it.each(names(form))('%s: every actor is read as it was', async (name) => {
    const scenario = scenarioOf(name)
    const fixture = readFixture(form, name)
    const h = openFixture(fixture, scenario.machines, scenario.limits)
    if (scenario.still) expect(await viewsOf(h)).toEqual(fixture.views)
    await h.advance(0)
    expect(h.stops).toEqual([])
  })

  it.each(names(form))(
    '%s: it goes on',
    async (name) => {
      const scenario = scenarioOf(name)
      const fixture = readFixture(form, name)
      const h = openFixture(fixture, scenario.machines, scenario.limits)
      await scenario.goOn(h, fixture.notes)
      expect(h.stops).toEqual([])
    },
    PATIENCE_MS,
  )

  it('an older version of a machine is read by a newer one, through its migration', async () => {
    const fixture = readFixture(form, versioned.name)
    const h = openFixture(fixture, [versionedTwo])
    expect(await get(h, 'versioned/old')).toMatchObject({
      version: 2,
      value: 'renamed',
      context: { migrated: true, seen: ['one'] },
    })
    await send(h, 'versioned/old', 'NOTE', { text: 'two' })
    await send(h, 'versioned/first', 'GO')
    const again = new Harness({ machines: [versionedTwo], from: h, seed: 100 })
    expect(await seen(again, 'versioned/old')).toEqual(['one', 'two'])
    expect(await get(again, 'versioned/first')).toMatchObject({ version: 2, value: 'renamed' })
    expect(again.stops).toEqual([])
  })
})

function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS.find((one) => one.name === name)
  if (!scenario) throw new Error(`the fixture ${name} has no scenario: fixtures are never orphaned`)
  return scenario
}

it('a record of a newer version is refused and left as it is', async () => {
  const address = 'versioned/old'
  const fixture = await make({ ...versioned, machines: [versionedTwo] })
  const h = openFixture(fixture, [versionedOne])
  const key = actorKey(shardOf(address, SHARDS), address)
  const before = h.store.get(key)!
  const view = await get(h, address)
  expect(view.parked?.error).toMatchObject({ code: 'version-unknown' })
  expect(view).toMatchObject({ version: 2, value: 'renamed' })
  expect(await code(h, h.client.resume(address))).toBe('version-unknown')
  expect(await code(h, h.client.resume(address, { retry: true }))).toBe('version-unknown')
  expect(Buffer.from(h.store.get(key)!).equals(before)).toBe(true)
  // The node that knows the version reads it as if nothing had been.
  const newer = new Harness({ machines: [versionedTwo], from: h, seed: 101 })
  expect(await get(newer, address)).toMatchObject({ version: 2, value: 'renamed' })
  expect((await get(newer, address)).parked).toBeUndefined()
  expect(newer.stops).toEqual([])
})

describe('the present form', () => {
  const newest = forms().at(-1)!

  it('has a fixture of every scenario', () => {
    expect(names(newest).sort()).toEqual(SCENARIOS.map(({ name }) => name).sort())
  })

  it.each(SCENARIOS)('$name: the same steps write the same bytes', async (scenario) => {
    const { rows, notes, views } = readFixture(newest, scenario.name)
    const made = await make(scenario)
    const why =
      'The form of the rows has changed. If that is meant: what was released before must stay readable (keep its fixtures, begin a new form with TROUPE_WRITE_GOLDEN=new); what was never released may be written again with TROUPE_WRITE_GOLDEN=1'
    expect(Object.keys(made.rows), why).toEqual(Object.keys(rows))
    expect(made.rows, why).toEqual(rows)
    expect(made.notes).toEqual(notes)
    expect(made.views).toEqual(views)
  })
})

it('would notice a row that is read otherwise', async () => {
  const fixture = readFixture(forms().at(-1)!, 'flat')
  const key = Buffer.from(actorKey(shardOf('flat/a', SHARDS), 'flat/a')).toString('hex')
  const bytes = Buffer.from(fixture.rows[key]!, 'base64')
  bytes[bytes.indexOf('red') + 2] = 'f'.charCodeAt(0)
  const rows = { ...fixture.rows, [key]: bytes.toString('base64') }
  const h = openFixture({ ...fixture, rows }, scenarioOf('flat').machines)
  expect(await viewsOf(h)).not.toEqual(fixture.views)
})
