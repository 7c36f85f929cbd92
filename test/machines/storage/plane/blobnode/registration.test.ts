/** How nodes hear of the disks of a blobnode: whatever they say, and while nobody is there. */
import { afterEach, describe, expect, it } from 'vitest'
import { NodeList } from '../../../../../machines/storage/plane/blobnode/node-calls.ts'
import { refusal } from '../../../../../machines/storage/plane/codes/index.ts'
import { TroupeError } from '../../../../../src/index.ts'
import { until } from '../../../../waiting.ts'
import { DISK_UUID, MemoryDisk } from './memory-disk.ts'
import { type Rig, serving, VUID, welcomed } from './rig.ts'

const PATIENCE = { timeoutMs: 20_000 }
let rig: Rig | undefined

afterEach(async () => {
  await rig?.stop()
  rig = undefined
})

interface Beat {
  disk_id: number
  broken: string | null
}

/** A node that takes down what it hears. */
class FakeNode {
  readonly registered: { disk_id: number }[] = []
  readonly beats: Beat[][] = []
  /** What it answers instead, if anything. */
  answer: (path: string, body: object) => { status: number; body: unknown } | undefined = () =>
    undefined

  readonly call = async (path: string, body: object) => {
    const answer = this.answer(path, body)
    if (answer !== undefined) return answer
    if (path === '/storage/disks') this.registered.push(body as { disk_id: number })
    else this.beats.push((body as { disks: Beat[] }).disks)
    return { status: 200, body: welcomed(path, body) }
  }
}

function refused(status: number, error: string): { status: number; body: unknown } {
  return { status: 409, body: { error, code: 'some', status } }
}

describe('a blobnode', () => {
  it('registers its disk and is heard from then on', async () => {
    const node = new FakeNode()
    rig = await serving({}, { call: node.call, heartbeatMs: 20 })
    const uuid = DISK_UUID
    const address = rig.at.address
    const place = { uuid, host: 'b1', rack: 'r1', idc: 'z1', path: '/data/1', address }
    const usage = { size: 1000, free: 900, used: 100, chunks: 1, chunks_max: 64 }
    expect(node.registered).toEqual([{ disk_id: 1, ...place, ...usage }])
    await until(() => node.beats.length > 2, PATIENCE, 'heartbeats')
    expect(node.beats[0]).toEqual([{ disk_id: 1, uuid, ...usage, broken: null }])
    expect(node.registered).toHaveLength(1)
  })

  it('waits for a node as long as it takes, says so once, and serves meanwhile', async () => {
    const node = new FakeNode()
    let tries = 0
    node.answer = () => {
      tries += 1
      throw new TroupeError('unavailable', 'nobody answers there')
    }
    rig = await serving({}, { call: node.call, heartbeatMs: 20 })
    await until(() => tries > 3, PATIENCE, 'it tries again')
    const warned = rig.logged.filter(({ level }) => level === 'warn')
    expect(warned.map(({ fields }) => fields['problem'])).toEqual(['nobody answers there'])
    await rig.client().putShard(rig.at, 1n, Buffer.alloc(1))
    node.answer = () => undefined
    await until(() => node.beats.length > 0, PATIENCE, 'it is heard')
    expect(node.registered).toHaveLength(1)
    expect(rig.logged.at(-1)?.message).toBe('a node hears this blobnode again')
  })

  it('registers anew where a node does not know it any more', async () => {
    const node = new FakeNode()
    rig = await serving({}, { call: node.call, heartbeatMs: 20 })
    const row = { disk_id: 1, status: 0, readonly: true, refused: 911, error: 'there is no disk 1' }
    node.answer = (path) => {
      if (path === '/storage/disks') return undefined
      node.answer = () => undefined
      return { status: 200, body: { disks: [row] } }
    }
    await until(() => node.registered.length === 2, PATIENCE, 'it is registered again')
  })

  it('serves no disk that a node refuses, and the others', async () => {
    const node = new FakeNode()
    node.answer = (path, body) => {
      const isFirst = path === '/storage/disks' && (body as { disk_id: number }).disk_id === 1
      return isFirst ? refused(925, 'disk 1 is /data/1 of host b9') : undefined
    }
    const disks = [1, 2].map((id) => ({ id, path: `/data/${id}` }))
    const openDisk = async () => {
      const disk = new MemoryDisk()
      await disk.createChunk(VUID, 0)
      return disk
    }
    rig = await serving({ disks }, { call: node.call, heartbeatMs: 20, openDisk })
    const client = rig.client()
    await expect(client.statChunk(rig.at)).rejects.toMatchObject({
      status: 611,
      message: expect.stringContaining('host b9'),
    })
    expect((await client.statChunk({ ...rig.at, diskId: 2 })).vuid).toBe(VUID)
    await until(() => node.beats.length > 2, PATIENCE, 'heartbeats')
    expect(new Set(node.beats.flat().map(({ disk_id }) => disk_id))).toEqual(new Set([2]))
    expect(rig.logged.filter(({ level }) => level === 'error')).toHaveLength(1)
  })

  it('tells at once that a disk is broken, and until a node has heard it', async () => {
    const node = new FakeNode()
    rig = await serving({}, { call: node.call, heartbeatMs: 60_000 })
    let tries = 0
    node.answer = () => {
      tries += 1
      if (tries > 2) return undefined
      throw refusal(604, 'not now')
    }
    rig.disk.break('EIO: it cannot be read')
    const heard = () => node.beats.flat().find(({ broken }) => broken !== null)
    await until(heard, PATIENCE, 'it is told')
    expect(heard()?.broken).toBe('EIO: it cannot be read')
    await expect(rig.client().statChunk(rig.at)).rejects.toMatchObject({ status: 613 })
  })

  it.each([
    ['fails its probe', async () => Promise.reject(new Error('EIO')), 'EIO'],
    ['does not answer its probe', () => new Promise<void>(() => {}), 'did not answer a probe'],
  ])('takes a disk for broken that %s', async (_what, probe, why) => {
    const node = new FakeNode()
    const disk = Object.assign(new MemoryDisk(), { probe })
    const deps = { call: node.call, heartbeatMs: 20, probeMsMax: 30, openDisk: async () => disk }
    rig = await serving({}, deps)
    const heard = () => node.beats.flat().find(({ broken }) => broken !== null)
    await until(heard, PATIENCE, 'it is told')
    expect(heard()?.broken).toContain(why)
  })

  it('stops although a disk stands still', async () => {
    const still = await serving({}, { closeMsMax: 30 })
    still.disk.close = () => new Promise(() => {})
    await still.stop()
    expect(still.logged).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringContaining('unclosed') }),
    )
  })

  it('does not take a full disk for a broken one', async () => {
    const node = new FakeNode()
    let probes = 0
    const probe = async () => {
      probes += 1
      throw refusal(615, 'full')
    }
    const disk = Object.assign(new MemoryDisk(), { probe })
    rig = await serving({}, { call: node.call, heartbeatMs: 20, openDisk: async () => disk })
    await until(() => probes > 2, PATIENCE, 'probes')
    expect(node.beats.flat().every(({ broken }) => broken === null)).toBe(true)
  })

  it('opens a disk that was not there at first, and keeps the others up meanwhile', async () => {
    const node = new FakeNode()
    let isMounted = false
    const openDisk = async ({ diskId }: { diskId: number }) => {
      if (diskId === 1 && !isMounted) throw new TroupeError('not-found', 'nothing is mounted')
      return new MemoryDisk()
    }
    const disks = [1, 2].map((id) => ({ id, path: `/data/${id}` }))
    rig = await serving({ disks }, { call: node.call, heartbeatMs: 20, openDisk })
    expect(node.registered.map(({ disk_id }) => disk_id)).toEqual([2])
    await expect(rig.client().statChunk(rig.at)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('nothing is mounted'),
    })
    isMounted = true
    await until(() => node.registered.length === 2, PATIENCE, 'it is there')
  })
})

describe('a list of nodes', () => {
  it('asks the next one where one does not answer, and stays there', async () => {
    rig = await serving()
    const list = new NodeList({ urls: ['http://127.0.0.1:1', rig.at.address] })
    // A blobnode is no node; that it answers is what is seen.
    await expect(list.call('/storage/heartbeat', {})).resolves.toMatchObject({ status: 404 })
    await expect(list.call('/storage/heartbeat', {})).resolves.toMatchObject({ status: 404 })
    list.close()
  })

  it('says of each why, where none answers', async () => {
    const list = new NodeList({ urls: ['http://127.0.0.1:1', 'http://127.0.0.1:2'] })
    await expect(list.call('/x', {})).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/127\.0\.0\.1:1 .*; .*127\.0\.0\.1:2 /),
    })
    list.close()
  })
})
