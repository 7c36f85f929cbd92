/**
 * A store as background tasks see it: real disks with their ledgers, volumes as records in memory, moves that a test
 * ends. Every call takes a while, and can fail, be lost, or be the last thing that its process does.
 */
import type { MoveOrder } from '../../../../machines/storage/background/moves/index.ts'
import { refusal, vuidOf, vuidParts } from '../../../../machines/storage/plane/codes/index.ts'
import { Disks, DiskTable } from '../../../../machines/storage/plane/disks/index.ts'
import type { Chunk, VolumeRecord } from '../../../../machines/storage/plane/volumes/index.ts'
import { newVolume } from '../../../../machines/storage/plane/volumes/volume-record.ts'
import { TroupeError } from '../../../../src/protocol/index.ts'
import type { Process } from '../engine-sim.ts'

const CALL_MS = 5
export const CHUNK_BYTES = 1_000

export type Fate = 'done' | 'fails' | 'lost'

export class StoreWorld {
  readonly volumes = new Map<number, VolumeRecord>()
  /** What becomes of a call: `fails`, nothing is done; `lost`, it is done and nobody hears of it. */
  fate: (verb: string) => Fate = () => 'done'
  readonly calls: string[] = []
  /** Where chunks are made, whatever is wished. */
  placeOn: number | undefined
  /** Of all moves that ever began, by their ids. */
  readonly orders = new Map<string, MoveOrder>()
  /** Those that have moved their unit. */
  readonly finished: string[] = []
  #lastTask = 0
  #process: Process | undefined

  enter(process: Process): void {
    this.#process = process
  }

  get process(): Process {
    if (!this.#process) throw new Error('nothing runs')
    return this.#process
  }

  get disks(): Disks {
    return new Disks(this.process.h.client, this.process.h.clock)
  }

  get table(): DiskTable {
    return new DiskTable(this.process.h.client, this.process.h.clock, 0)
  }

  async farm(disks: number, hosts: number): Promise<void> {
    const usage = { sizeBytes: 2 ** 40, freeBytes: 2 ** 40, usedBytes: 0, chunks: 0, chunksMax: 50 }
    for (let diskId = 1; diskId <= disks; diskId++) {
      const uuid = `00000000-0000-4000-8000-${String(diskId).padStart(12, '0')}`
      const host = `h${diskId % hosts}`
      const place = { uuid, address: 'http://b', host, rack: 'r', idc: 'z', path: `/d${diskId}` }
      const hearing = { via: 'n1', quietMs: 10 ** 10, unitsMax: 50 }
      await this.process.h.run(this.disks.register({ diskId, ...place, ...usage, ...hearing }))
    }
  }

  /** With units on these disks. */
  async volume(vid: number, diskIds: readonly number[], bytes = CHUNK_BYTES): Promise<void> {
    const kept = { retiredKeptMs: 1, readyKeptMs: 1 }
    const input = { vid, mode: 13, chunkBytesMax: 2 ** 30, ...kept, at: 0 }
    const units = diskIds.map((diskId, index) => ({ index, epoch: 1, diskId }))
    const record = newVolume(input, units.length)
    const standing = { standing: 'idle' as const, chunkBytesUsed: bytes, fittings: {} }
    this.volumes.set(vid, { ...record, ...standing, units, epochs: units.map(() => 1) })
    for (const unit of units) await this.#reserve(vid, unit)
  }

  record(vid: number): VolumeRecord {
    const record = this.volumes.get(vid)
    if (!record) throw refusal(904, `there is no volume ${vid}`)
    return record
  }

  change(vid: number, to: Partial<VolumeRecord>): void {
    this.volumes.set(vid, { ...this.record(vid), ...to })
  }

  async units(diskId: number): Promise<string[]> {
    const { units } = await this.process.h.run(this.disks.record(diskId))
    return Object.keys(units)
  }

  /** Its unit is on that disk from now on, and its move has ended. */
  async finish(taskId: string, toDiskId: number): Promise<void> {
    const order = this.#order(taskId)
    const { vid, index } = vuidParts(order.sourceVuid)
    const record = this.record(vid)
    const old = record.units[index] as Chunk
    const fitting = record.fittings[index]
    const epoch = fitting?.epoch ?? (record.epochs[index] ?? 0) + 1
    const fresh = { index, epoch, diskId: toDiskId }
    await this.#reserve(vid, fresh)
    const epochs = record.epochs.map((one, at) => (at === index ? epoch : one))
    const units = record.units.map((one) => (one.index === index ? fresh : one))
    const { [index]: _used, ...fittings } = record.fittings
    this.change(vid, { units, epochs, fittings })
    this.finished.push(taskId)
    await this.end(taskId, 'finished')
    await this.process.h.run(this.disks.free(old.diskId, order.sourceVuid))
  }

  /** As `finish`, on the disk that a chunk was made on for it before. */
  async finishAsPlaced(taskId: string): Promise<void> {
    const { vid, index } = vuidParts(this.#order(taskId).sourceVuid)
    const fitting = this.record(vid).fittings[index]
    if (!fitting) throw new Error(`no chunk was made for ${taskId}`)
    await this.finish(taskId, fitting.diskId)
  }

  /** As a volume does when nobody asks for what it has made. */
  async releaseFittings(): Promise<void> {
    for (const [vid, { fittings }] of this.volumes) {
      for (const [index, { epoch, diskId }] of Object.entries(fittings)) {
        const vuid = vuidOf({ vid, index: Number(index), epoch })
        await this.process.h.run(this.#release(vuid, diskId, this.disks))
      }
    }
  }

  async end(taskId: string, end: 'finished' | 'finished_in_advance' | 'cancelled'): Promise<void> {
    this.#unclaim(taskId)
    const { client } = this.process.h
    const event = { type: 'END', end, bytes: CHUNK_BYTES }
    await this.process.h.run(client.send(`migrate-task/${taskId}`, event))
  }

  /** Those that have not ended. */
  async live(): Promise<string[]> {
    const { client } = this.process.h
    const { rows } = await this.process.h.run(
      client.list({ filter: { machine: 'migrate-task' }, limit: 500 }),
    )
    return rows
      .filter(({ status }) => status === 'active')
      .map(({ address }) => address.slice(address.indexOf('/') + 1))
  }

  /** Of a process: what its tasks are given. */
  ports(process: Process) {
    const { h, signal } = process
    const disks = new Disks(h.client, h.clock)
    const table = new DiskTable(h.client, h.clock, 0)
    const call = <T>(verb: string, work: () => Promise<T>) => this.#call({ h, signal }, verb, work)
    return {
      disks: {
        record: (id: number) => call('record', () => disks.record(id)),
        set: (id: number, to: number) => call('set', () => disks.set(id, to)),
        dropped: (id: number) => call('dropped', () => disks.dropped(id)),
        free: (id: number, vuid: bigint) => call('free', () => disks.free(id, vuid)),
      },
      table: { all: () => call('table', () => table.all({ fresh: true })), forget: () => {} },
      views: {
        record: (vid: number) => call('volume', async () => this.record(vid)),
        lastVid: async () => 1_000,
      },
      calls: {
        allocUnit: (vuid: bigint, { excludes = [] }: { excludes?: readonly number[] } = {}) =>
          call('alloc', () => this.#alloc(vuid, excludes, disks)),
        releaseUnit: (vuid: bigint, diskId: number) =>
          call('release', () => this.#release(vuid, diskId, disks)),
      },
      moves: {
        add: (order: MoveOrder) => call('add', () => this.#add(process, order)),
      },
    }
  }

  async #call<T>(
    { h, signal }: Pick<Process, 'h' | 'signal'>,
    verb: string,
    work: () => Promise<T>,
  ): Promise<T> {
    await new Promise<void>((resolve) => h.clock.after(CALL_MS, resolve))
    // The process is dead: it does nothing any more.
    if (signal.aborted) await new Promise(() => {})
    this.calls.push(verb)
    const fate = this.fate(verb)
    if (fate === 'fails') throw new TroupeError('unavailable', 'as the test wants it')
    const result = await work()
    await new Promise<void>((resolve) => h.clock.after(CALL_MS, resolve))
    if (signal.aborted) await new Promise(() => {})
    if (fate === 'lost') throw new TroupeError('no-answer', 'its answer was lost')
    return result
  }

  /** As the real one: a unit has one mover at a time. */
  async #add({ h }: Process, order: MoveOrder): Promise<{ taskId: string }> {
    const { vid, index, epoch } = vuidParts(order.sourceVuid)
    const { units, moves } = this.record(vid)
    if (units[index]?.epoch !== epoch)
      throw refusal(918, `unit ${index} of volume ${vid} has moved`)
    const other = moves[index]
    // One that was announced, and did not begin before its process was killed, is none.
    const isLive = other !== undefined && (await isThere(h.client, other.mover))
    if (isLive)
      throw refusal(601, `volume ${vid} has unit ${index} moved by ${other.mover} already`)
    this.#lastTask += 1
    const taskId = `${order.type}-${order.sourceDiskId}-${vid}-${this.#lastTask}`
    const move = { mover: taskId, at: h.clock.now(), turn: 1 }
    this.change(vid, { moves: { ...moves, [index]: move } })
    this.orders.set(taskId, order)
    await h.client.start(`migrate-task/${taskId}`, { ...order, taskId, at: h.clock.now() })
    return { taskId }
  }

  /** On the first disk that is none of its volume's, and not excluded; the same one when it is asked again. */
  async #alloc(vuid: bigint, excludes: readonly number[], disks: Disks) {
    const { vid, index } = vuidParts(vuid)
    const record = this.record(vid)
    const known = record.fittings[index]
    const all = [...(await this.table.all({ fresh: true })).values()]
    const free = all.find(
      ({ diskId, standing }) =>
        standing === 'writable' &&
        !excludes.includes(diskId) &&
        !record.units.some((unit) => unit.diskId === diskId),
    )
    const diskId = known?.diskId ?? this.placeOn ?? free?.diskId
    if (diskId === undefined) throw refusal(917, `there is no place for unit ${index} of ${vid}`)
    const epoch = known?.epoch ?? (record.epochs[index] ?? 0) + 1
    const at = { address: 'http://b', diskId, vuid: vuidOf({ vid, index, epoch }) }
    await disks.reserve(diskId, at.vuid, 1)
    const fitting = { step: 'ready' as const, epoch, diskId, excludes: [] }
    const epochs = record.epochs.map((one, of) => (of === index ? epoch : one))
    this.change(vid, { fittings: { ...record.fittings, [index]: fitting }, epochs })
    return at
  }

  async #release(vuid: bigint, diskId: number, disks: Disks): Promise<void> {
    const { vid, index, epoch } = vuidParts(vuid)
    const record = this.record(vid)
    if (record.units[index]?.epoch === epoch) throw refusal(918, 'it is the unit')
    const { [index]: fitting, ...fittings } = record.fittings
    if (fitting?.epoch === epoch) this.change(vid, { fittings })
    const retired = record.retired.filter((one) => one.index !== index || one.epoch !== epoch)
    this.change(vid, { retired })
    await disks.free(diskId, vuid)
  }

  async #reserve(vid: number, { index, epoch, diskId }: Chunk): Promise<void> {
    const vuid = vuidOf({ vid, index, epoch })
    await this.process.h.run(this.disks.reserve(diskId, vuid, 1))
  }

  #order(taskId: string): MoveOrder {
    const order = this.orders.get(taskId)
    if (!order) throw new Error(`there is no move ${taskId}`)
    return order
  }

  #unclaim(taskId: string): void {
    const { vid, index } = vuidParts(this.#order(taskId).sourceVuid)
    const { [index]: _gone, ...moves } = this.record(vid).moves
    this.change(vid, { moves })
  }
}

async function isThere(client: Process['h']['client'], taskId: string): Promise<boolean> {
  return client.get(`migrate-task/${taskId}`).then(
    () => true,
    () => false,
  )
}
