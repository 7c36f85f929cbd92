/** Blobs over a real nats-server: the contract, and what belongs to JetStream alone. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Connection, NatsBlobs } from '../../../src/adapters/nats/index.ts'
import { blobsSuite } from '../../contract/blobs.suite.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock, connectTo, LineLog, random } from './connections.ts'

const PART_BYTES = 256 * 1024
const HOUR_MS = 3_600_000

describe.skipIf(missingNatsServer)('blobs over nats', () => {
  let server: NatsServer
  let clusters = 0
  beforeAll(async () => {
    server = await startNatsServer()
  })
  afterAll(() => server.close())

  const blobsOn = (
    connection: Connection,
    cluster: string,
    { aheadMs = 0, patienceMs = 5_000 } = {},
  ) => {
    const ahead = Object.assign(Object.create(clock), { now: () => clock.now() + aheadMs })
    const options = { cluster, replicas: 1, connection, random, log: new LineLog() }
    return new NatsBlobs({ ...options, clock: ahead as typeof clock, timeoutMs: 2_000, patienceMs })
  }

  blobsSuite('nats', async () => {
    const connection = await connectTo(server.url)
    const blobs = blobsOn(connection, `c${clusters++}`)
    return { blobs, close: () => connection.close() }
  })

  const opened = async () => {
    const connection = await connectTo(server.url)
    onTestFinished(() => connection.close())
    const cluster = `c${clusters++}`
    const { streams } = await connection.nats.jetstreamManager()
    const stream = `TROUPE_${cluster}_BLOBS`
    const messages = async () => (await streams.info(stream)).state.messages
    return { connection, cluster, stream, streams, messages, blobs: blobsOn(connection, cluster) }
  }
  const patterned = (size: number) => Buffer.from(Array.from({ length: size }, (_, at) => at % 251))

  it('reads parts of a value without the rest', async () => {
    const { connection, blobs } = await opened()
    const value = patterned(PART_BYTES * 3 + 5)
    await blobs.put('a', value)
    expect(await blobs.size('a')).toBe(value.length)
    const read: string[] = []
    connection.nats.subscribe('$JS.API.STREAM.MSG.GET.>', {
      callback: (_, { data }) => void read.push(Buffer.from(data).toString()),
    })
    const offset = PART_BYTES * 2 - 2
    const part = await blobs.get('a', { offset, length: 4 })
    expect(Buffer.compare(part!, value.subarray(offset, offset + 4))).toBe(0)
    expect(read).toHaveLength(3)
    expect(Buffer.compare((await blobs.get('a'))!, value)).toBe(0)
    const tail = await blobs.get('a', { offset: PART_BYTES * 3, length: 99 })
    expect(Buffer.compare(tail!, value.subarray(PART_BYTES * 3))).toBe(0)
  })

  it('keeps nothing of what is replaced or deleted', async () => {
    const { blobs, messages } = await opened()
    await blobs.put('a', patterned(PART_BYTES * 2 + 1))
    expect(await messages()).toBe(4)
    await blobs.put('a', patterned(1))
    expect(await messages()).toBe(2)
    await blobs.delete('a')
    expect(await messages()).toBe(0)
  })

  it('shows nothing of a put that was cut short, and sweeps it when it is old', async () => {
    const { connection, cluster, blobs, messages } = await opened()
    await blobs.put('whole', patterned(10))
    const { nats } = connection
    for (const index of [0, 1]) {
      await nats.jetstream().publish(`troupe.${cluster}.blob.part.cut.v1.${index}`, 'x')
    }
    expect(await blobs.get('cut')).toBeUndefined()
    expect(await blobs.list('')).toEqual(['whole'])
    expect(await blobs.sweep()).toBe(0)
    expect(await messages()).toBe(4)
    expect(await blobsOn(connection, cluster, { aheadMs: 2 * HOUR_MS }).sweep()).toBe(1)
    expect(await messages()).toBe(2)
    expect(await blobs.get('whole')).toEqual(patterned(10))
  })

  it('sweeps with the first put, and then once in as long as a put may take', async () => {
    const { connection, cluster, messages } = await opened()
    let aheadMs = 2 * HOUR_MS
    const ahead: typeof clock = Object.assign(Object.create(clock), {
      now: () => clock.now() + aheadMs,
      monotonic: () => clock.monotonic() + aheadMs,
    })
    const log = new LineLog()
    const options = { cluster, replicas: 1, connection, random, log, clock: ahead }
    const blobs = new NatsBlobs(options)
    const cutShort = (name: string) =>
      connection.nats.jetstream().publish(`troupe.${cluster}.blob.part.${name}.v1.0`, 'x')
    await blobsOn(connection, cluster).put('whole', patterned(1))
    await cutShort('cut')
    await blobs.put('whole', patterned(2))
    expect(await messages()).toBe(2)
    expect(log.said('cut short')?.fields).toEqual({ swept: 1 })
    await cutShort('again')
    await blobs.put('whole', patterned(3))
    expect(await messages()).toBe(3)
    aheadMs += 2 * HOUR_MS
    await blobs.put('whole', patterned(4))
    expect(await messages()).toBe(2)
    expect(await blobs.get('whole')).toEqual(patterned(4))
  })

  it('has put a value, whatever comes of the sweep', async () => {
    const { connection, cluster } = await opened()
    const log = new LineLog()
    const blobs = new NatsBlobs({ cluster, replicas: 1, connection, random, log, clock })
    blobs.sweep = () => Promise.reject(new Error('no answer'))
    await blobs.put('a', patterned(5))
    expect(await blobs.get('a')).toEqual(patterned(5))
    expect(log.said('could not be swept')?.fields).toEqual({ why: 'no answer' })
  })

  it('reads the new value when the old one goes while it is read', async () => {
    const { connection, cluster, blobs } = await opened()
    await blobs.put('a', patterned(PART_BYTES + 1))
    const writer = await connectTo(server.url)
    onTestFinished(() => writer.close())
    const ask = connection.request.bind(connection)
    let isReplaced = false
    connection.request = async (subject, payload, options) => {
      if (!isReplaced && String(payload).includes('.part.')) {
        isReplaced = true
        await blobsOn(writer, cluster).put('a', patterned(7))
      }
      return ask(subject, payload, options)
    }
    expect(await blobs.get('a')).toEqual(patterned(7))
  })

  it('says that a value is damaged, and does not cut it', async () => {
    const { blobs, stream, streams } = await opened()
    await blobs.put('a', patterned(PART_BYTES + 1))
    await streams.deleteMessage(stream, 2)
    await expect(blobs.get('a')).rejects.toThrow('a part of it is gone')
    expect((await blobs.get('a', { offset: 0, length: 5 }))?.length).toBe(5)
  })

  it('says that NATS is away for long, and waits for it before', async () => {
    const { connection, cluster, blobs } = await opened()
    await blobs.put('a', patterned(3))
    await server.kill()
    await until(() => !connection.isConnected, { timeoutMs: 5_000 }, 'a lost connection')
    const unavailable = expect.objectContaining({ code: 'unavailable', retry: true })
    const impatient = blobsOn(connection, cluster, { patienceMs: 100 })
    await expect(impatient.put('a', patterned(4))).rejects.toEqual(unavailable)
    await expect(impatient.get('a')).rejects.toEqual(unavailable)
    const patient = blobs.get('a')
    await server.start()
    expect(await patient).toEqual(patterned(3))
  })

  it('refuses names that are empty or too long', async () => {
    const { blobs } = await opened()
    await expect(blobs.put('', patterned(1))).rejects.toMatchObject({ code: 'too-large' })
    await expect(blobs.get('x'.repeat(256))).rejects.toMatchObject({ code: 'too-large' })
  })
})
