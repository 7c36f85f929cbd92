/** What a node had alone, brought into a cluster that begins with it. */
import { cpSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { backupData, createNode, restoreData, type TroupeNode } from '../../src/index.ts'
import { shardOf } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { ClusterRig, QUICK, type RigNode } from './cluster-rig.ts'
import { Fuse } from './fuse.ts'
import { note, SHARDS, WardSet } from './ward-set.ts'
import { WARD, wards } from './wards.ts'

const ACTORS = 64
/** Of the calls that bring a directory: so many at least are needed once it is a member's. */
const ENOUGH = 300
/** The number of a call while checkpoints are made, and of one while the journals begin. */
const AMONG_CHECKPOINTS = 400
const IN_THE_JOURNALS = 580
const RUNS = { message: expect.stringContaining('the node b runs already') }
const FIRST = `${WARD}/0`

let rig: ClusterRig
let dataDirectory: string
let set: WardSet

beforeEach(() => {
  rig = new ClusterRig([], QUICK, SHARDS)
  const ranFile = join(rig.directory, 'ran')
  rig.apps.push(wards(ranFile))
  set = new WardSet(ACTORS, ranFile)
  dataDirectory = join(rig.directory, 'a')
})

afterEach(() => rig.close())

const alone = (): Promise<TroupeNode> =>
  createNode({ dataDirectory, apps: rig.apps, worker: false })

async function seen(client: TroupeNode['client'], address: string): Promise<string[]> {
  return ((await client.get(address)).context as { seen: string[] }).seen
}

/** One actor is all there is. */
async function one(): Promise<void> {
  const node = await alone()
  await node.client.start(FIRST)
  await node.stop()
}

async function filled(): Promise<unknown[]> {
  const node = await alone()
  await set.fill(node.client)
  const all = await set.still(node.client)
  await node.stop()
  return all
}

describe('a node that was alone', () => {
  it('has the shards that it has: told of others it brings nothing', async () => {
    await one()
    const told = { shardCount: SHARDS + 1 }
    await expect(rig.start('a', told)).rejects.toMatchObject({
      message: expect.stringContaining(`has ${SHARDS}, and this node was told of ${SHARDS + 1}`),
    })
    await (await alone()).stop()
  })

  it('brings every actor as it was, and what was under way goes on once', async () => {
    const before = await filled()
    const a = await rig.start('a', { worker: false })
    expect(await set.still(a.node.client)).toEqual(before)
    await rig.start('b')
    await rig.start('c')
    await rig.settled()
    const { shards } = rig.at('c').report()
    expect(new Set(shards.map(({ owner }) => owner))).toEqual(new Set(['a', 'b', 'c']))
    await set.goesOn(rig.at('c').node.client)
    expect(a.said('a checkpoint is loaded'), 'the founder has it').toEqual([])
    await a.stop()
    await a.start()
    await rig.settled()
    expect(await set.still(a.node.client)).toEqual(await set.still(rig.at('b').node.client))
    await a.stop()
    await expect(alone()).rejects.toMatchObject({
      message: expect.stringContaining('belongs to the node a of the cluster "troupe"'),
    })
  })

  it('goes on where it was cut short, and nobody begins a cluster of half its data', async () => {
    await one()
    let notes = 0
    let isMember = false
    let waiting: Promise<RigNode> | undefined
    for (let calls = 1; !isMember || calls < ENOUGH; calls = Math.ceil(calls * 2.3)) {
      await cutShort(calls)
      if (!waiting && (await has('facts'))) waiting = rig.start('b')
      expect(rig.nodes.has('b'), 'b waits').toBe(false)
      if (await isAlone(FIRST, notes)) {
        expect(isMember, 'it was alone until now').toBe(false)
        notes += 1
      } else if (!isMember) {
        isMember = true
        calls = 1
      }
    }
    await expect(rig.make('b').start()).rejects.toMatchObject(RUNS)
    await cutShort('published')
    const { node } = await waiting!
    expect(await seen(node.client, FIRST), 'b has it all').toHaveLength(notes)
    await node.client.send(FIRST, note('b'))
    const a = await rig.start('a')
    await rig.settled()
    expect(await seen(a.node.client, FIRST)).toHaveLength(notes + 1)
  })
})

describe('a cluster with data', () => {
  const refusal = {
    code: 'conflict',
    message: expect.stringMatching(/has data of its own.*--data.*remove its streams/),
  }

  it.each([
    ['of nodes', () => {}],
    ['of which the registry has lost all', () => forget('facts')],
  ])('%s is left as it is, and so is the directory', async (_what, lose) => {
    await filled()
    const b = await rig.start('b')
    await b.node.client.start(`${WARD}/b`)
    await lose()
    await expect(rig.start('a')).rejects.toMatchObject(refusal)
    const node = await alone()
    expect(await seen(node.client, FIRST)).toEqual(['alone'])
    await node.stop()
    expect((await b.node.client.get(`${WARD}/b`)).turn).toBe(1)
  })

  it.each([
    ['all of it', 'published'],
    ['a part of it', IN_THE_JOURNALS],
  ])('takes nothing from a copy of a directory that has brought %s', async (_what, at) => {
    await one()
    await cutShort(AMONG_CHECKPOINTS)
    cpSync(dataDirectory, `${dataDirectory}.copy`, { recursive: true })
    await cutShort(at)
    rmSync(dataDirectory, { recursive: true })
    renameSync(`${dataDirectory}.copy`, dataDirectory)
    await expect(rig.start('a')).rejects.toMatchObject(refusal)
  })
})

describe('what NATS loses meanwhile', () => {
  it('is brought again', async () => {
    await one()
    let writes = 0
    const a = await rig.start('a', {}, (ports) => {
      const { journal } = ports
      const write: typeof journal.write = (...told) => {
        writes += 1
        if (writes === SHARDS) rig.journal.wipe(0)
        journal.write(...told)
      }
      return { ...ports, journal: Object.assign(Object.create(journal), { write }) }
    })
    expect(writes).toBeGreaterThan(SHARDS)
    expect(a.report().shards.every(({ servedBy }) => servedBy.join() === 'a')).toBe(true)
  })

  it('the registry too', async () => {
    await one()
    await cutShort(IN_THE_JOURNALS)
    await forget('facts')
    const a = await rig.start('a')
    expect(await seen(a.node.client, FIRST)).toEqual([])
  })
})

it('a registry that has lost the end of it hears of it again by any member', async () => {
  await one()
  await rig.start('a')
  const b = await rig.start('b')
  await b.stop()
  await forget('published')
  await b.start()
  await rig.start('c')
  await rig.at('a').stop()
  await forget('published')
  const again = await rig.start('a')
  expect(again.said('this node brings')).toEqual([])
})

it('is not heard of by what is left of an older cluster', async () => {
  const older = new ClusterRig(rig.apps, QUICK, SHARDS)
  const left = await older.start('b')
  await left.stop()
  await one()
  await cutShort(AMONG_CHECKPOINTS)
  const b = rig.make('b')
  const stop = new AbortController()
  const place = { dataDirectory: left.dataDirectory, signal: stop.signal }
  const ended = expect(b.start(place)).rejects.toMatchObject({
    code: 'unavailable',
  })
  const waits = () => b.said('waits until the founder').length > 0
  await until(waits, { timeoutMs: 5_000 }, 'what b says')
  expect(await has('published')).toBe(false)
  stop.abort()
  await ended
  await older.close()
})

it('whoever else has data is refused from the first moment on', async () => {
  await one()
  await cutShort(AMONG_CHECKPOINTS)
  const other = join(rig.directory, 'other')
  await (await createNode({ dataDirectory: other, apps: rig.apps, worker: false })).stop()
  await expect(rig.start('b', { dataDirectory: other })).rejects.toMatchObject({ code: 'conflict' })
  await rig.start('a')
})

it('slots go on where the count of the shard stood: none comes twice', async () => {
  const node = await alone()
  await node.client.start(FIRST)
  for (const text of ['1', '2', '3']) await node.client.send(FIRST, note(text))
  await node.stop()
  await rig.start('a')
  expect(rig.journal.slots(shardOf(FIRST, SHARDS))[0]!.slot).toBeGreaterThan(4)
})

it('data out of a backup are data as any', async () => {
  await one()
  const backup = join(rig.directory, 'backup')
  await backupData(dataDirectory, backup)
  rmSync(dataDirectory, { recursive: true })
  await restoreData(backup, dataDirectory)
  const a = await rig.start('a')
  await a.stop()
  await a.start()
  expect(await seen(a.node.client, FIRST)).toEqual([])
})

it('the directory is taken from nobody: whoever opens it meanwhile keeps it', async () => {
  await one()
  let other: Promise<TroupeNode> | undefined
  const begun = rig.start('a', {}, (ports) => {
    const { checkpoints } = ports
    const record: typeof checkpoints.record = async (...told) => {
      other ??= alone()
      await other
      checkpoints.record(...told)
    }
    return { ...ports, checkpoints: Object.assign(Object.create(checkpoints), { record }) }
  })
  await expect(begun).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(/^another process has opened .* since$/),
  })
  const node = await other!
  await node.client.send(FIRST, note('still alone'))
  await node.stop()
})

/** A start that gets so far and dies. */
async function cutShort(at: number | string): Promise<void> {
  const fuse = new Fuse(at)
  const start = rig.start('a', { signal: fuse.signal }, (ports) => fuse.ports(ports))
  await expect(start, String(at)).rejects.toThrow()
  expect(fuse.signal.aborted).toBe(true)
}

const has = (key: string) =>
  new Promise<boolean>((resolve) => rig.registry.get(key, ({ kind }) => resolve(kind === 'found')))

const forget = (key: string) =>
  new Promise<void>((resolve) => rig.registry.remove(key, () => resolve()))

/** Whether it can be started alone; then something changes there. */
async function isAlone(address: string, notes: number): Promise<boolean> {
  let node: TroupeNode
  try {
    node = await alone()
  } catch (thrown) {
    expect(String(thrown)).toContain('belongs to the node a')
    return false
  }
  expect(await seen(node.client, address)).toHaveLength(notes)
  await node.client.send(address, note(String(notes)))
  await node.stop()
  return true
}
