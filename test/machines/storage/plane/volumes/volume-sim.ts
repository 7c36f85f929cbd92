/**
 * Volumes and disks on a virtual clock: engines in memory, a worker that runs the code of their tasks, and
 * chunks in a world of their own. `crash` is kill -9 of the node: what was not flushed is gone, what was done
 * to the world stays, and calls that are under way are done or not.
 */

import { codeModeOf, refusal } from '../../../../../machines/storage/plane/codes/index.ts'
import {
  Disks,
  DiskTable,
  diskMachines,
} from '../../../../../machines/storage/plane/disks/index.ts'
import {
  type ChunkCalls,
  openVolumes,
  type UnitPlace,
  type VolumeRecord,
} from '../../../../../machines/storage/plane/volumes/index.ts'
import { volume } from '../../../../../machines/storage/plane/volumes/volume.ts'
import {
  chooseTask,
  lockTask,
  makeTask,
  releaseTask,
  unlockTask,
} from '../../../../../machines/storage/plane/volumes/volume-tasks.ts'
import type { Client } from '../../../../../src/client/index.ts'
import type { MachineDefinition } from '../../../../../src/machine/index.ts'
import type { Clock } from '../../../../../src/ports/index.ts'
import { TroupeError } from '../../../../../src/protocol/index.ts'
import type { Harness } from '../../../../shard/harness.ts'
import { EngineSim, type EngineSimOptions, type Process } from '../../engine-sim.ts'

const MACHINES: readonly MachineDefinition[] = [...diskMachines, volume]
const TASKS = [chooseTask, makeTask, releaseTask, lockTask, unlockTask]
const STEP_MS = 100
const WITHIN_MS = 600_000
export const VID = 4_294_967_295
export const READY_KEPT_MS = 900_000

export interface Opened {
  config: object
  client: Client
  clock: Clock
  table: DiskTable
  chunks: ChunkCalls
  call: ChunkCall
}

/** Of other rooms, beside volumes and disks. */
export interface VolumeSimParts {
  machines: readonly MachineDefinition[]
  tasks: EngineSimOptions['tasks']
  /** With each process. */
  open: (opened: Opened) => void
  /** Those that there are: `<disk>/<vuid>`. */
  chunks: Map<string, 'normal' | 'readonly'>
}

/** A call on a disk that takes its time; `work` gives back why it is refused. */
export type ChunkCall = (
  verb: string,
  at: UnitPlace,
  work: () => number | undefined,
) => Promise<void>

export class VolumeSim {
  readonly #sim: EngineSim
  /** `<disk>/<vuid>`. */
  readonly chunks: VolumeSimParts['chunks']
  /** All that were ever made. */
  readonly made = new Set<string>()
  /** There, and as long back. */
  callMs = 5
  /** What becomes of a call: `fails`, nothing is done; `lost`, it is done and nobody hears of it. */
  fate: (verb: string, at: UnitPlace) => 'done' | 'fails' | 'lost' | number = () => 'done'

  constructor({
    machines = [],
    tasks = [],
    open = () => {},
    chunks = new Map(),
  }: Partial<VolumeSimParts> = {}) {
    this.chunks = chunks
    this.#sim = new EngineSim({
      machines: [...MACHINES, ...machines],
      tasks: [...TASKS, ...tasks],
      opened: (process) => open(this.#opened(process)),
    })
  }

  get h(): Harness {
    return this.#sim.h
  }

  async farm(disks: number, hosts: number): Promise<void> {
    const usage = { sizeBytes: 2 ** 40, freeBytes: 2 ** 40, usedBytes: 0, chunks: 0, chunksMax: 50 }
    for (let diskId = 1; diskId <= disks; diskId++) {
      const host = `h${diskId % hosts}`
      const uuid = `00000000-0000-4000-8000-${String(diskId).padStart(12, '0')}`
      const place = { uuid, address: 'http://b', host, rack: 'r', idc: 'z', path: `/d${diskId}` }
      const hearing = { via: 'n1', quietMs: 10 ** 10, unitsMax: 50 }
      await this.h.run(this.disks.register({ diskId, ...place, ...usage, ...hearing }))
    }
  }

  get disks(): Disks {
    return new Disks(this.h.client, this.h.clock)
  }

  async begin(mode: string): Promise<void> {
    const kept = { retiredKeptMs: 60_000, readyKeptMs: READY_KEPT_MS }
    const facts = { chunkBytesMax: 2 ** 30, ...kept, at: this.h.clock.now() }
    const input = { vid: VID, mode: codeModeOf(mode).id, ...facts }
    await this.h.run(this.h.client.ensure(`volume/${VID}`, input))
  }

  async record(): Promise<VolumeRecord> {
    return (await this.h.run(this.h.client.get(`volume/${VID}`))).context as VolumeRecord
  }

  async ask(event: { type: string; [field: string]: unknown }): Promise<{ refused?: number }> {
    const answer = await this.h.run(this.h.client.ask(`volume/${VID}`, event))
    return answer as { refused?: number }
  }

  async until(is: (record: VolumeRecord) => boolean): Promise<VolumeRecord> {
    const endMs = this.h.clock.monotonic() + WITHIN_MS
    for (;;) {
      const record = await this.record()
      if (is(record)) return record
      if (this.h.clock.monotonic() > endMs) {
        throw new Error(`not within ${WITHIN_MS} ms: ${JSON.stringify(record)}`)
      }
      await this.h.advance(STEP_MS)
    }
  }

  crash(): void {
    this.#sim.crash()
  }

  /** What ledgers promise: `<disk>/<vuid>`, sorted. */
  async ledger(disks: number): Promise<string[]> {
    const lines: string[] = []
    for (let diskId = 1; diskId <= disks; diskId++) {
      const { units } = await this.h.run(this.disks.record(diskId))
      lines.push(...Object.keys(units).map((vuid) => `${diskId}/${vuid}`))
    }
    return lines.sort()
  }

  #opened({ h: { client, clock }, h, signal, config }: Process): Opened {
    const table = new DiskTable(client, clock, 0)
    const call = this.#call(h, signal)
    const chunks = this.#calls(call)
    openVolumes(config, { disks: new Disks(client, clock), table, chunks })
    return { config, client, clock, table, chunks, call }
  }

  #call(h: Harness, signal: AbortSignal): ChunkCall {
    return async (verb, at, work) => {
      await new Promise<void>((resolve) => h.clock.after(this.callMs, resolve))
      // The process is dead: it does nothing any more.
      if (signal.aborted) await new Promise(() => {})
      const fate = this.fate(verb, at)
      if (typeof fate === 'number') throw refusal(fate, 'as the test wants it')
      if (fate === 'fails') throw new TroupeError('unavailable', 'as the test wants it')
      const refused = work()
      await new Promise<void>((resolve) => h.clock.after(this.callMs, resolve))
      if (signal.aborted) await new Promise(() => {})
      if (fate === 'lost') throw new TroupeError('unavailable', 'its answer was lost')
      if (refused !== undefined) throw refusal(refused, 'as a blobnode says it')
    }
  }

  #calls(call: ChunkCall): ChunkCalls {
    const key = ({ diskId, vuid }: UnitPlace) => `${diskId}/${vuid}`
    const set = (at: UnitPlace, to: 'normal' | 'readonly') => {
      if (!this.chunks.has(key(at))) return 621
      this.chunks.set(key(at), to)
      return undefined
    }
    return {
      createChunk: (at) =>
        call('create', at, () => {
          if (!this.chunks.has(key(at))) this.chunks.set(key(at), 'normal')
          this.made.add(key(at))
          return undefined
        }),
      setChunk: (at, mode) =>
        call(mode, at, () => set(at, mode === 'readonly' ? 'readonly' : 'normal')),
      releaseChunk: (at, isForced) =>
        call('release', at, () => {
          if (!this.chunks.has(key(at))) return 621
          if (!isForced && this.chunks.get(key(at)) !== 'readonly') return 625
          this.chunks.delete(key(at))
          return undefined
        }),
      statChunk: async (at) => {
        await call('stat', at, () => (this.chunks.has(key(at)) ? undefined : 621))
        return { status: 'normal', usedBytes: 0 }
      },
    }
  }
}
