/** When the journal's connections are opened, without any server. */
import { expect, it } from 'vitest'
import { VirtualClock } from '../../../src/adapters/memory/index.ts'
import type { Connection } from '../../../src/adapters/nats/index.ts'
import { Lines } from '../../../src/adapters/nats/lines.ts'
import { LineLog } from './connections.ts'

/** What a line needs of a connection. */
class FakeConnection {
  isConnected = true
  isClosed = false
  hasLeft = false
  lost: () => void = () => {}
  readonly nats: { info: object }

  constructor(server: string, urls: string[] = []) {
    const info = { server_name: server, server_id: `life of ${server}`, version: '2.9.10' }
    this.nats = { info: { ...info, connect_urls: urls } }
  }

  listen({ lost }: { lost: () => void }): { stop(): void } {
    this.lost = lost
    return { stop: () => {} }
  }

  async close(): Promise<void> {
    this.isClosed = true
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function scene(open: (server: string) => FakeConnection | undefined) {
  const clock = new VirtualClock()
  const log = new LineLog()
  const asked: string[] = []
  const opened: FakeConnection[] = []
  const lines = new Lines({
    clock,
    log,
    servers: ['d', 'a'],
    open: async (servers = ['any']) => {
      for (const server of servers) {
        asked.push(server)
        const connection = open(server)
        if (!connection) continue
        opened.push(connection)
        return connection as unknown as Connection
      }
      throw new Error('refused')
    },
  })
  return { clock, log, asked, opened, lines }
}

it('is opened when somebody asks, once for all who do', async () => {
  const { lines, asked } = scene(() => new FakeConnection('n1'))
  expect([lines.any(), lines.any()]).toEqual([undefined, undefined])
  await turn()
  expect(lines.any()).toMatchObject({ server: 'n1', serverId: 'life of n1' })
  expect(lines.any()).toBe(lines.any())
  expect(asked).toEqual(['any'])
})

it('is tried ever more seldom while nobody is there, and says so once', async () => {
  const { clock, lines, asked, log } = scene(() => undefined)
  for (let ms = 0; ms < 10_000; ms += 5) {
    lines.any()
    await turn()
    clock.advance(5)
  }
  expect(asked.length).toBeGreaterThan(6)
  expect(asked.length).toBeLessThan(14)
  expect(log.lines.map(({ message }) => message)).toEqual(['the journal has no connection to NATS'])
})

it('is another after it was lost', async () => {
  const { lines, opened } = scene(() => new FakeConnection('n1'))
  lines.any()
  await turn()
  const line = lines.any()
  opened[0]!.lost()
  expect(lines.any()).toBeUndefined()
  await turn()
  expect(lines.any()?.server).toBe('n1')
  expect(lines.any()).not.toBe(line)
})

it('is not one that was lost before anybody could listen', async () => {
  const dead = Object.assign(new FakeConnection('n1'), { isConnected: false })
  const { lines } = scene(() => dead)
  lines.any()
  await turn()
  expect(lines.any()).toBeUndefined()
})

it('finds the server of a name among those that the first one tells of', async () => {
  const urls = ['c', 'b', 'a']
  const at: Record<string, string> = { any: 'n1', a: 'n1', c: 'n3', d: 'n2' }
  const { lines, asked, opened } = scene((server) =>
    at[server] === undefined ? undefined : new FakeConnection(at[server], urls),
  )
  lines.any()
  await turn()
  expect(lines.to('n3')).toBeUndefined()
  for (let turns = 0; turns < 5; turns++) await turn()
  expect(lines.to('n3')?.server).toBe('n3')
  expect(lines.to('n1')).toBe(lines.any())
  expect(asked).toEqual(['any', 'd', 'a', 'b', 'c'])
  // One line to a server is enough.
  expect(opened.map(({ isClosed }) => isClosed)).toEqual([false, false, true, false])
})

it('is not to the server that was left, where another one was ever told of', async () => {
  const at: Record<string, string> = { any: 'n1', a: 'n1', b: 'n2' }
  const { lines, asked, opened } = scene((server) =>
    at[server] === undefined ? undefined : new FakeConnection(at[server], ['a', 'b']),
  )
  const next = async () => {
    lines.any()
    for (let turns = 0; turns < 5; turns++) await turn()
    return lines.any()?.server
  }
  expect(await next()).toBe('n1')
  Object.assign(opened[0]!, { hasLeft: true }).lost()
  expect(await next()).toBe('n2')
  expect(asked).toEqual(['any', 'd', 'a', 'b'])
  expect(opened.map(({ isClosed }) => isClosed)).toEqual([false, true, false])
  // Where there is no other, it is better than none.
  delete at['a']
  Object.assign(opened[2]!, { hasLeft: true }).lost()
  at['d'] = 'n2'
  expect(await next()).toBe('n2')
})

it('is to a server that was told of, once those that were named are gone', async () => {
  const at: Record<string, string> = { any: 'n1', b: 'n2' }
  const { lines, asked, opened } = scene((server) =>
    at[server] === undefined ? undefined : new FakeConnection(at[server], ['b']),
  )
  lines.any()
  await turn()
  opened[0]!.lost()
  expect(lines.any()).toBeUndefined()
  await turn()
  expect(lines.any()?.server).toBe('n2')
  expect(asked).toEqual(['any', 'd', 'a', 'b'])
})

it('is looked for where the servers told last that they are, before where they were', async () => {
  const told: Record<string, string[]> = { any: ['old', 'both'], d: ['both', 'new'] }
  const { lines, asked, opened } = scene((server) =>
    told[server] === undefined ? undefined : new FakeConnection('n1', told[server]),
  )
  for (const _ of ['any', 'd']) {
    lines.any()
    await turn()
    opened.at(-1)!.lost()
  }
  delete told['d']
  lines.any()
  await turn()
  expect(asked).toEqual(['any', 'd', 'd', 'a', 'new', 'both', 'old'])
})

it('opens nothing more after it was closed, and keeps nothing open', async () => {
  const { clock, lines, asked, opened } = scene(() => new FakeConnection('n1'))
  lines.any()
  await lines.close()
  await turn()
  expect(opened.map(({ isClosed }) => isClosed)).toEqual([true])
  clock.advance(60_000)
  lines.any()
  await turn()
  expect(asked).toEqual(['any'])
})
