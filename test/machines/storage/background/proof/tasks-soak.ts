/**
 * A store that people work on while it is used: a disk is lost, one is dropped, an empty blobnode comes, units are
 * moved by hand, and blobnodes (the workers in them), nodes and shards suffer all the while. Decides: what is done
 * in which order, and when it is over. Leaves to others: clients (`soak.ts`), what has to hold (`ends.ts`).
 */
import { until } from '../../../../waiting.ts'
import { flipSome, killBlobnode, killNode, Soak, type SoakOptions } from '../../plane/proof/soak.ts'
import type { FarmOptions, StoreFarm } from '../../plane/proof/store-farm.ts'
import { chunkFaults, endsCounted, endsRead, jobsOf, openTasks, tasksOf } from './ends.ts'
import { remadeFaults, type SpoiledUnit, spoilChunks } from './spoiled-chunks.ts'

const JSON_BODY = { 'content-type': 'application/json' }

/** Short times, so that what is kept for people's sake goes while the test looks. */
export function tasksFarmOptions(
  options: Omit<FarmOptions, 'storage' | 'blobnodeWords'>,
): FarmOptions {
  return {
    ...options,
    storage: {
      plane: {
        // Three nodes and seven blobnodes on two cores are late at times.
        heartbeatLossMs: 10_000,
        retainMs: 4_000,
        retiredKeptMs: 1_000,
        readyKeptMs: 60_000,
        strayLookMs: 1_000,
        strayKeptMs: 3_000,
      },
      upkeep: {},
      background: {
        open: [
          'shard_repair',
          'blob_delete',
          'disk_repair',
          'disk_drop',
          'balance',
          'volume_inspect',
        ],
        lanes: { leaseMs: 3_000, cancelPunishMs: 1_000 },
        diskJobs: { collectMs: 500, checkMs: 500 },
        inspect: { passEveryMs: 10_000, leaseMs: 3_000 },
        balance: { collectMs: 500 },
      },
    },
    // A disk that has room for few chunks: then some more or less are uneven.
    blobnodeWords: ['--move-slots', '2', '--inspect-slots', '1', '--chunk-bytes-max', '1G'],
  }
}

export class TasksSoak {
  readonly soak: Soak
  readonly #farm: StoreFarm
  lostDiskId = 0
  droppedDiskId = 0
  migrated = 0
  #spoiled: readonly SpoiledUnit[] = []

  constructor(farm: StoreFarm, options: Omit<SoakOptions, 'sabotage' | 'lostMax'>) {
    this.#farm = farm
    const sabotage = [
      () => this.#loseDisk(),
      flipSome,
      () => this.#dropDisk(),
      killBlobnode,
      () => this.#addBlobnode(),
      killNode,
      () => this.#migrateSome(),
      flipSome,
      killBlobnode,
      killNode,
    ]
    this.soak = new Soak(farm, { ...options, sabotage, lostMax: 1 })
  }

  async run(): Promise<void> {
    await this.soak.run()
    await this.soak.settle()
  }

  /** When nothing is disturbed any more; nothing else is to move units then. */
  async spoilChunks(timeoutMs: number): Promise<void> {
    await this.#switch('balance', false)
    await this.#switch('volume_inspect', false)
    await this.#ends(timeoutMs)
    this.#spoiled = await spoilChunks(this.#farm, this.soak.objects.live())
    await this.#switch('volume_inspect', true)
    for (const vid of new Set(this.#spoiled.map((unit) => unit.vid)))
      await this.#farm.ask(`/storage/inspect/volumes/${vid}`, { method: 'POST' })
    await this.soak.settle()
  }

  /** @returns what does not hold */
  async faults(timeoutMs: number): Promise<string[]> {
    await this.soak.upkeepEnds()
    await this.#ends(timeoutMs)
    const remade = await remadeFaults(this.#farm, this.#spoiled, this.soak.objects.live())
    if (remade.length > 0) return remade
    const tasks = await tasksOf(this.#farm)
    const counted = JSON.stringify(sorted(await endsCounted(this.#farm)))
    const read = JSON.stringify(sorted(endsRead(tasks)))
    return counted === read ? [] : [`counted are ${counted}, and read ${read}`]
  }

  async #ends(timeoutMs: number): Promise<void> {
    let open: string[] = []
    await until(
      async () => {
        // A disk drops when its last unit has gone, so what is counted as open is all of it.
        const jobs = await jobsOf(this.#farm)
        const left = jobs.filter(({ end }) => end === null)
        open = [
          ...left.map(
            ({ task_type, disk_id, state, why }) => `${task_type} ${disk_id} ${state}: ${why}`,
          ),
          ...openTasks(await tasksOf(this.#farm)),
        ]
        if (open.length === 0) open = await chunkFaults(this.#farm)
        return open.length === 0
      },
      { timeoutMs, every: 500 },
      () =>
        `background tasks end, and chunks lie where they should; left are ${open.slice(0, 20).join('; ')}`,
    )
  }

  async #loseDisk(): Promise<void> {
    if (this.lostDiskId !== 0) return
    const [first] = this.#farm.blobnodes
    this.lostDiskId = first?.diskIds[0] ?? 0
    this.#farm.loseDisk(this.lostDiskId)
    await this.#standsAs(this.lostDiskId, ['broken', 'repairing', 'repaired'])
  }

  async #dropDisk(): Promise<void> {
    if (this.droppedDiskId !== 0) return
    this.droppedDiskId = this.#farm.blobnodes[1]?.diskIds[0] ?? 0
    const path = `/storage/disks/${this.droppedDiskId}`
    await this.#post(`${path}/readonly`, { readonly: true })
    await this.#post(`${path}/drop`, {})
  }

  async #addBlobnode(): Promise<void> {
    if (this.#farm.blobnodes.length > 6) return
    await this.#farm.addBlobnode()
    await this.#farm.allUp()
  }

  async #migrateSome(): Promise<void> {
    const { volumes } = await this.#farm.ask<{ volumes: { units: { vuid: number }[] }[] }>(
      '/storage/volumes?count=100',
    )
    const units = volumes.flatMap((one) => one.units)
    for (let n = 0; n < 4; n += 1) {
      const unit = units[Math.floor(this.soak.random() * units.length)]
      if (unit === undefined) return
      const body = { vuid: unit.vuid, direct_download: true }
      // It may have moved since, or be moved by another: then it is refused.
      if (await this.#post('/manual/migrate/task/add', body)) this.migrated += 1
    }
  }

  async #standsAs(diskId: number, wanted: readonly string[]): Promise<void> {
    await until(
      async () => {
        const { standing } = await this.#farm.ask<{ standing: string }>(`/storage/disks/${diskId}`)
        return wanted.includes(standing)
      },
      { timeoutMs: 60_000, every: 200 },
      `disk ${diskId} is ${wanted.join(' or ')}`,
    )
  }

  async #switch(name: string, isOn: boolean): Promise<void> {
    const body = JSON.stringify({ key: name, value: String(isOn) })
    const init = { method: 'POST', headers: JSON_BODY, body }
    const answer = await fetch(`${this.#farm.url}/config/set`, init)
    if (!answer.ok) throw new Error(`${name} cannot be switched: ${await answer.text()}`)
  }

  async #post(path: string, body: object): Promise<boolean> {
    const init = { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body) }
    return this.#farm.ask(path, init).then(
      () => true,
      () => false,
    )
  }
}

function sorted(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
}
