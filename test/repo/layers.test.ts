/** Imports upwards, sideways, past an index.ts, and in a circle are found. */
import { expect, it } from 'vitest'
import { type Importing, importCycles, importsOf, layerBreaches } from './layers.ts'
import { fixture, readSources } from './sources.ts'

function importing(folders: readonly string[]): Importing[] {
  return readSources(fixture('layers'), folders).map((source) => ({
    path: source.path,
    imports: importsOf(source),
  }))
}

it('would notice every kind of breach', () => {
  const broken = layerBreaches(importing(['src', 'machines']))
  expect(broken).toEqual([
    'src/util.ts: is in no room; rooms are protocol, ports, machine, adapters, shard, client, cluster, worker, node, gateway, cli',
    'src/adapters/lmdb/index.ts:2: imports src/adapters/nats/index.ts: folders of adapters/ do not import each other',
    'src/client/index.ts:2: imports src/shard/index.ts: client/ (floor 3) may not import shard/ (floor 3)',
    'src/client/index.ts:3: imports src/protocol/address.ts: protocol/ is imported only through its index.ts',
    'src/client/index.ts:4: imports nats: only adapters/ know the package nats',
    'src/client/index.ts:5: imports src/index.ts: a room of src/ imports rooms only',
    'src/client/index.ts:6: imports test/waiting.ts: a room of src/ imports rooms only',
    'src/index.ts:2: imports src/adapters/lmdb/index.ts: only node/ imports adapters/',
    'src/index.ts:3: imports machines/jobs/index.ts: src/index.ts may not import that',
    'src/index.ts:4: imports src/util.ts: the target is in no room',
    'src/main.ts:3: imports src/client/open.ts: client/ is imported only through its index.ts',
    'src/protocol/address.ts:2: imports src/ports/index.ts: protocol/ (floor 0) may not import ports/ (floor 1)',
    'src/shard/index.ts:2: imports src/adapters/lmdb/index.ts: only node/ imports adapters/',
    'src/shard/index.ts:4: imports src/node/index.ts: shard/ (floor 3) may not import node/ (floor 5)',
    'machines/jobs/index.ts:4: imports src/protocol/index.ts: machines/ import only src/index.ts, their own folder and packages',
    'machines/jobs/index.ts:5: imports machines/storage/index.ts: families do not import each other',
  ])
})

it('would notice a circle', () => {
  expect(importCycles(importing(['src/machine']))).toEqual([
    'src/machine/a.ts → src/machine/b.ts → src/machine/c.ts → src/machine/a.ts',
  ])
})
