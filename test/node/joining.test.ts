/** Who may take part in a cluster: one process per name and directory, and all mean the same shards. */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { setup } from 'xstate'
import { createNode, defineApp, defineMachine } from '../../src/index.ts'

import { ClusterRig, QUICK, SHARDS } from './cluster-rig.ts'

const plain = defineMachine({ machine: setup({}).createMachine({ id: 'plain' }), events: {} })
const app = defineApp({
  name: 'plains',
  machines: [plain],
  singletons: [{ machine: 'plain', id: 'only' }],
})

let rig: ClusterRig

beforeEach(() => {
  rig = new ClusterRig([app], QUICK)
})

afterEach(() => rig.close())

describe('a name', () => {
  it('is refused while another process runs under it', async () => {
    await rig.start('a')
    const twin = rig.start('a', { dataDirectory: rig.at('a').dataDirectory })
    await expect(twin).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/^the node a runs already \(process \d+ on /),
    })
  })

  it('belongs to the data directory that had it first, until an operator gives that up', async () => {
    await rig.start('a')
    await rig.at('a').stop()
    const dataDirectory = join(rig.directory, 'other')
    await expect(rig.start('a', { dataDirectory })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('--replace'),
    })
    const node = await rig.start('a', { dataDirectory, replace: true })
    expect(node.said('takes the name of one whose data is gone')).toHaveLength(1)
    await node.stop()
    await rig.start('a', { dataDirectory })
  })

  it('a refused start leaves the directory to whoever names it right', async () => {
    await rig.start('a')
    await rig.at('a').stop()
    const dataDirectory = join(rig.directory, 'other')
    await expect(rig.start('a', { dataDirectory })).rejects.toMatchObject({ code: 'conflict' })
    await rig.start('b', { dataDirectory })
  })
})

describe('a data directory', () => {
  it('of a node of a cluster is refused to a node that runs alone, and to another name', async () => {
    const { dataDirectory } = await rig.start('a')
    await rig.at('a').stop()
    await expect(createNode({ dataDirectory, apps: [app] })).rejects.toMatchObject({
      code: 'invalid-config',
      message: expect.stringContaining('belongs to the node a of the cluster "troupe"'),
    })
    await expect(rig.start('b', { dataDirectory })).rejects.toMatchObject({
      code: 'invalid-config',
      message: expect.stringContaining('belongs to the node a, not b'),
    })
    await expect(rig.start('a', { dataDirectory, cluster: 'other' })).rejects.toMatchObject({
      code: 'invalid-config',
      message: expect.stringContaining('belongs to the cluster "troupe", not "other"'),
    })
  })
})

describe('the number of shards', () => {
  it('is that of whoever came first', async () => {
    await rig.start('a')
    const refused = rig.start('b', { shardCount: SHARDS * 2 })
    await expect(refused).rejects.toMatchObject({
      code: 'invalid-config',
      message: `shards: the cluster "troupe" has ${SHARDS}, and this node was told of ${SHARDS * 2}: the number is fixed when a cluster is made`,
    })
  })

  it('of a directory has to be that of the cluster', async () => {
    await rig.start('a')
    const { dataDirectory } = rig.at('a')
    await rig.at('a').stop()
    const other = new ClusterRig([app], QUICK)
    try {
      await other.start('b', { shardCount: SHARDS * 2 })
      await expect(other.start('a', { dataDirectory, shardCount: SHARDS })).rejects.toMatchObject({
        message: expect.stringContaining(`the data directory of this node has ${SHARDS}`),
      })
    } finally {
      await other.close()
    }
  })

  it('is written again for a registry that has lost it, loudly', async () => {
    await rig.start('a')
    await rig.at('a').stop()
    await new Promise<void>((resolve) => rig.registry.remove('facts', () => resolve()))
    const a = await rig.start('a')
    expect(a.said('NATS may have lost its own')).toHaveLength(1)
  })
})

it('an unknown outcome of the registry is asked again', async () => {
  rig.registry.failNext({ on: 'claim', happened: true, count: 2 })
  const a = await rig.start('a')
  expect(a.report().nodes.map(({ name }) => name)).toEqual(['a'])
})

it('everything is closed when a node is refused', async () => {
  await rig.start('a')
  const twin = rig.make('a')
  await expect(twin.start()).rejects.toMatchObject({ code: 'conflict' })
  expect(twin.portsClosed).toBe(1)
})
