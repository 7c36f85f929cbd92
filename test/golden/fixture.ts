/**
 * Golden fixtures: the rows of a store as they were written, and what was seen of the actors in them.
 *
 * A folder per form of the rows, by the number that a store says it has (node/data.ts). The newest is the form
 * of the present code; every older one that is not refused there has to stay readable. `TROUPE_WRITE_GOLDEN=1`
 * writes the newest folder anew, `TROUPE_WRITE_GOLDEN=new` begins another beside it.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MemoryStore, VirtualClock } from '../../src/adapters/memory/index.ts'
import type { MachineDefinition } from '../../src/machine/index.ts'
import { type Limits, toJson } from '../../src/protocol/index.ts'
import { Harness } from '../shard/harness.ts'
import { rows } from '../shard/support.ts'

const FOLDER = fileURLToPath(new URL('rows/', import.meta.url))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export const WRITE = process.env['TROUPE_WRITE_GOLDEN']

export interface Fixture {
  nowMs: number
  shardCount: number
  /** Keys in hex, values in base64. */
  rows: Record<string, string>
  /** By address, in the JSON form of the protocol. */
  views: Record<string, unknown>
  /** What a test needs to go on: tokens, ids, replies. */
  notes: Record<string, unknown>
}

export function forms(): string[] {
  return readdirSync(FOLDER).sort((a, b) => Number(a) - Number(b))
}

export function names(form: string): string[] {
  return readdirSync(join(FOLDER, form)).map((file) => file.replace(/\.json$/, ''))
}

export function readFixture(form: string, name: string): Fixture {
  return JSON.parse(readFileSync(join(FOLDER, form, `${name}.json`), 'utf8')) as Fixture
}

/** Chooses the folder to write to: the newest, or one more. */
export function formToWrite(): string {
  const newest = Number(forms().at(-1) ?? 0)
  return String(WRITE === 'new' || newest === 0 ? newest + 1 : newest)
}

export function writeFixtures(form: string, fixtures: ReadonlyMap<string, Fixture>): void {
  mkdirSync(join(FOLDER, form), { recursive: true })
  for (const [name, fixture] of fixtures)
    writeFileSync(join(FOLDER, form, `${name}.json`), JSON.stringify(fixture, null, 2))
  // Fixtures are looked at like all other files.
  const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome')
  spawnSync(process.execPath, [biome, 'format', '--write', FOLDER], { cwd: ROOT })
}

/** As it would come back from a file. */
export function asJson(value: unknown): unknown {
  return JSON.parse(toJson(value))
}

export function rowsAsText(h: Harness): Record<string, string> {
  return Object.fromEntries(
    rows(h).map(({ key, value }) => [
      Buffer.from(key).toString('hex'),
      Buffer.from(value).toString('base64'),
    ]),
  )
}

/** What operators see of every actor there is, children included. */
export async function viewsOf(h: Harness): Promise<Record<string, unknown>> {
  const { rows: found } = await h.run(h.client.list({ filter: { children: true } }))
  const views: Record<string, unknown> = {}
  for (const { address } of found.toSorted((a, b) => (a.address < b.address ? -1 : 1)))
    views[address] = asJson(await h.run(h.client.get(address)))
  return views
}

/** Engines on a store that holds exactly the rows of a fixture. */
export function openFixture(
  fixture: Fixture,
  machines: readonly MachineDefinition[],
  limits: Partial<Limits> = {},
): Harness {
  const clock = new VirtualClock({ startMs: fixture.nowMs })
  const store = new MemoryStore({ clock })
  const writes = Object.entries(fixture.rows).map(
    ([key, value]) => [Buffer.from(key, 'hex'), Buffer.from(value, 'base64')] as const,
  )
  store.write({ writes, failed: () => {} })
  clock.advance(0)
  // As after a restart of a node that had this store.
  const { shardCount } = fixture
  const from = { clock, engines: [], store: { crash: () => store }, shardCount }
  return new Harness({ machines, limits, seed: 99, from: from as unknown as Harness })
}
