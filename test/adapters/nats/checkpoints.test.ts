/** Checkpoints over a real nats-server: the contract, and what belongs to JetStream alone. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Connection, NatsCheckpoints } from '../../../src/adapters/nats/index.ts'
import type { CheckpointListOutcome, ChunkReadOutcome } from '../../../src/ports/index.ts'
import { checkpointsSuite } from '../../contract/checkpoints.suite.ts'
import { realTime } from '../../contract/support.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { connectTo, LineLog } from './connections.ts'

describe.skipIf(missingNatsServer)('checkpoints over nats', () => {
  let server: NatsServer
  let clusters = 0
  beforeAll(async () => {
    server = await startNatsServer()
  })
  afterAll(() => server.close())

  const checkpointsOn = (connection: Connection, cluster: string, log = new LineLog()) =>
    new NatsCheckpoints({ cluster, replicas: 1, connection, log, timeoutMs: 1_000 })

  checkpointsSuite('nats', async () => {
    const cluster = `c${clusters++}`
    const connection = await connectTo(server.url)
    const connect = async () => checkpointsOn(connection, cluster)
    return { checkpoints: await connect(), connect, ...realTime, close: () => connection.close() }
  })

  const opened = async () => {
    const connection = await connectTo(server.url)
    onTestFinished(() => connection.close())
    const log = new LineLog()
    const cluster = `c${clusters++}`
    return { connection, log, cluster, checkpoints: checkpointsOn(connection, cluster, log) }
  }
  const chunk = { shard: 1, slot: 5, attempt: 'a', index: 0 }
  const write = (checkpoints: NatsCheckpoints, bytes: Uint8Array): Promise<string> =>
    new Promise((resolve) => checkpoints.write(chunk, bytes, resolve))
  const read = (checkpoints: NatsCheckpoints): Promise<ChunkReadOutcome> =>
    new Promise((resolve) => checkpoints.read(chunk, resolve))
  const list = (checkpoints: NatsCheckpoints): Promise<CheckpointListOutcome> =>
    new Promise((resolve) => checkpoints.list(1, resolve))
  const manager = ({ nats }: Connection) => nats.jetstreamManager()

  it('keeps chunks that are larger than a message, whole or not at all', async () => {
    const { connection, cluster, checkpoints } = await opened()
    const bytes = Buffer.alloc(connection.payloadBytesMax * 2.5)
    for (let at = 0; at < bytes.length; at += 1_000) bytes[at] = at % 251
    expect(await write(checkpoints, bytes)).toBe('written')
    const found = await read(checkpoints)
    expect(found.kind === 'found' && Buffer.compare(found.bytes, bytes)).toBe(0)
    const stream = `TROUPE_${cluster}_CHECKPOINTS`
    const { streams } = await manager(connection)
    expect((await streams.info(stream)).state.messages).toBe(3)
    await streams.deleteMessage(stream, 2)
    expect(await read(checkpoints)).toEqual({ kind: 'absent' })
  })

  it('does not care what happens to the bytes after the call', async () => {
    const { checkpoints } = await opened()
    const bytes = Buffer.from('mine')
    const written = write(checkpoints, bytes)
    bytes.fill(0)
    expect(await written).toBe('written')
    expect(await read(checkpoints)).toEqual({ kind: 'found', bytes: Buffer.from('mine') })
    const value = Buffer.from('mine')
    const recorded = new Promise((resolve) => checkpoints.record(1, 5, value, resolve))
    value.fill(0)
    expect(await recorded).toEqual({ kind: 'won' })
    const records = [{ slot: 5, value: Buffer.from('mine') }]
    expect(await list(checkpoints)).toEqual({ kind: 'listed', records })
  })

  it('does not know while there is no connection, and goes on after it', async () => {
    const { connection, checkpoints } = await opened()
    expect(await write(checkpoints, Buffer.from('x'))).toBe('written')
    await server.kill()
    await until(() => !connection.isConnected, { timeoutMs: 5_000 }, 'a lost connection')
    expect(await write(checkpoints, Buffer.from('y'))).toBe('unknown')
    expect((await read(checkpoints)).kind).toBe('unknown')
    expect((await list(checkpoints)).kind).toBe('unknown')
    await server.start()
    const isWritten = async () => (await write(checkpoints, Buffer.from('y'))) === 'written'
    await until(isWritten, { timeoutMs: 10_000 }, 'a chunk')
    expect(await read(checkpoints)).toEqual({ kind: 'found', bytes: Buffer.from('y') })
  })

  it('begins anew, and says so, when its stream is gone', async () => {
    const { connection, cluster, log, checkpoints } = await opened()
    expect(await write(checkpoints, Buffer.from('x'))).toBe('written')
    const { streams } = await manager(connection)
    await streams.delete(`TROUPE_${cluster}_CHECKPOINTS`)
    expect(await read(checkpoints)).toEqual({ kind: 'absent' })
    expect((await list(checkpoints)).kind).toBe('unknown')
    expect(await list(checkpoints)).toEqual({ kind: 'listed', records: [] })
    await streams.delete(`TROUPE_${cluster}_CHECKPOINTS`)
    expect(await write(checkpoints, Buffer.from('y'))).toBe('unknown')
    expect(await write(checkpoints, Buffer.from('y'))).toBe('written')
    const said = log.lines.filter(({ message }) => message.includes('is created'))
    expect(said.map(({ level }) => level)).toEqual(['info', 'error', 'error'])
  })

  it('refuses a stream that forgets', async () => {
    const { connection, cluster, checkpoints } = await opened()
    const { streams } = await manager(connection)
    const name = `TROUPE_${cluster}_CHECKPOINTS`
    await streams.add({ name, subjects: [`troupe.${cluster}.checkpoint.>`], max_age: 3_600e9 })
    const why = expect.stringContaining('max_age is 3600000000000 instead of 0')
    expect(await read(checkpoints)).toEqual({ kind: 'unknown', why })
    expect(await write(checkpoints, Buffer.from('x'))).toBe('unknown')
  })
})
