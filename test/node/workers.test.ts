import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type App, createNode, createWorker, defineApp } from '../../src/node/index.ts'
import { TroupeError } from '../../src/protocol/index.ts'
import type { WorkerRegistrar } from '../../src/worker/index.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-node-workers-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

const registrar: WorkerRegistrar = {
  authenticate: () => Promise.reject(new TroupeError('unauthorized', 'nobody')),
  heard: async () => ({ admitted: true }),
}

const keeper = (name: string): App => defineApp({ name, workers: () => registrar })

it('admits workers only when an app keeps the list of them, and one app only', async () => {
  const plain = await createNode({ dataDirectory: join(directory, 'a'), apps: [] })
  expect(plain.workers).toBeUndefined()
  await plain.stop()
  const node = await createNode({ dataDirectory: join(directory, 'b'), apps: [keeper('x')] })
  expect(node.workers).toBeDefined()
  await node.stop()
  const two = createNode({ dataDirectory: join(directory, 'c'), apps: [keeper('x'), keeper('y')] })
  await expect(two).rejects.toMatchObject({
    code: 'invalid-config',
    message: expect.stringContaining('x and y'),
  })
})

it("what an app says about the node's own worker counts", async () => {
  const seen: string[] = []
  const app = defineApp({
    name: 'x',
    workers: () => ({
      ...registrar,
      heard: async ({ name, group, node }) => {
        seen.push(`${name} ${group} ${node}`)
        return { admitted: true }
      },
    }),
  })
  const node = await createNode({ dataDirectory: directory, name: 'me', apps: [app] })
  expect(seen).toEqual(['me  me'])
  await node.stop()
})

it('a worker refuses a name that cannot be one, before it touches anything', async () => {
  const dataDirectory = join(directory, 'w')
  const made = createWorker({
    server: 'http://127.0.0.1:1',
    group: '1',
    key: () => 'k',
    name: 'a.b',
    dataDirectory,
    slots: 1,
    apps: [],
  })
  await expect(made).rejects.toMatchObject({ code: 'invalid-config' })
})
