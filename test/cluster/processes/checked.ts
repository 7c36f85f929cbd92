/**
 * Work on a cluster of processes that the simulator's checkers can judge: its workload, asked by real
 * programs, under whatever befalls the cluster meanwhile; then calm; then the judgement.
 *
 * Decides: when a cluster has come to rest, and what is read back: journals, actors, stores, checkpoints.
 * Not judged here are lists (`lists-are-true` has to know every commit between a question and its answer,
 * and a question has no id that nodes could tell of) and drawn charts (nodes host the fixed machines only);
 * everything else is.
 */
import { join } from 'node:path'
import { LmdbStore } from '../../../src/adapters/lmdb/index.ts'
import type { ShardReport } from '../../../src/node/index.ts'
import { account } from '../../simulation/account.ts'
import { Archive } from '../../simulation/archive.ts'
import { check } from '../../simulation/checkers/index.ts'
import { appliedOf, restlessness, rowsOf } from '../../simulation/draining.ts'
import type { Happening, SimEvent, Violation } from '../../simulation/events.ts'
import { finalMirror } from '../../simulation/mirror.ts'
import { SimRandom } from '../../simulation/random.ts'
import { Workload } from '../../simulation/workload.ts'
import { gather, journalsKeepAll } from './gather.ts'
import { PATIENCE_MS, type Processes } from './harness.ts'
import type { SlotRead } from './journal-reader.ts'
import { monotonicMs } from './monotonic.ts'
import type { ProgramConnection } from './programs.ts'
import type { Recorded } from './recorded.ts'
import { RecordedCaller } from './recorded-caller.ts'

export interface CheckedOptions {
  seed: number
  /** Callers of each kind: by the client library, by JSON over bare NATS; half of each only reads. */
  library?: number
  json?: number
  actors?: number
  /** Between two requests of a caller. */
  thinkMs?: number
}

export interface Verdict {
  violations: readonly Violation[]
  events: readonly SimEvent[]
  /** For people: the first violation and what led to it. */
  account: string
}

const QUIET_MS = 60_000
/** A look reads everything. */
const LOOK_MS = 500
const SHOWN = 3

export class CheckedWork {
  readonly #cluster: Processes
  readonly #seed: number
  readonly #recorded: Recorded[] = []
  readonly #callers: RecordedCaller[]
  readonly #operator: RecordedCaller
  readonly #workload: Workload

  private constructor(cluster: Processes, program: ProgramConnection, options: CheckedOptions) {
    const { seed, library = 3, json = 2, actors = 16, thinkMs = 120 } = options
    this.#cluster = cluster
    this.#seed = seed
    const record = (happening: Happening) => {
      this.#recorded.push({ ...happening, at: monotonicMs() })
    }
    const named = (kind: 'library' | 'json', prefix: string, length: number) =>
      Array.from({ length }, (_, at) => {
        const asks = program[kind](`${prefix}${at + 1}`)
        return new RecordedCaller(asks, record)
      })
    const writers = [...named('library', 'c', library), ...named('json', 'j', json)]
    const readers = [...named('library', 'r', library), ...named('json', 's', json)]
    const beside = named('library', 'k', 1)
    this.#callers = [...writers, ...readers, ...beside]
    this.#operator = named('library', 'op', 1)[0]!
    const random = new SimRandom(seed).fork('workload')
    this.#workload = new Workload({
      ...{ random, callers: writers, readers, beside, actors, thinkMs },
      askers: [],
      recorder: { add: record },
      restChance: 0,
      charts: undefined,
    })
  }

  static async begin(cluster: Processes, options: CheckedOptions): Promise<CheckedWork> {
    const work = new CheckedWork(cluster, await cluster.program('work'), options)
    work.#workload.begin()
    return work
  }

  /** Commands that were answered `ok`. */
  get answered(): number {
    return this.#recorded.filter((event) => event.kind === 'answered' && event.code === 'ok').length
  }

  async more(count: number): Promise<void> {
    const least = this.answered + count
    await this.#cluster.until(() => this.answered >= least, `${least} answers`)
  }

  /** The work ends, everything comes to rest, and what is there is judged. Nodes have to be up and well. */
  async judge(): Promise<Verdict> {
    this.#workload.end()
    await this.#quiet()
    await this.#readBack()
    const journals = await this.#cluster.journals()
    journals.forget()
    const slots = await journals.read()
    const archive = new Archive()
    const see = archive.see.bind(archive)
    const { losses } = this.#cluster
    const events = gather({ recorded: this.#everything(), slots, losses, see })
    await this.#endStores(events, archive)
    const violations = [...check(events), ...journalsKeepAll(events, slots)]
    const { length } = violations
    const more = violations.slice(1, SHOWN).map(({ checker, what }) => `${checker}: ${what}`)
    const first = length === 0 ? '' : account({ seed: this.#seed, violations, events })
    return { violations, events, account: [first, ...more].join('\n') }
  }

  /** What has happened until now; enough to judge whoever is not at rest. */
  async verdictNow(): Promise<Violation[]> {
    const slots = await this.#slots()
    const { losses } = this.#cluster
    return check(gather({ recorded: this.#everything(), slots, losses }))
  }

  end(): void {
    this.#workload.end()
  }

  #everything(): Recorded[] {
    return [...this.#recorded, ...this.#cluster.nodes.flatMap(({ events }) => events)]
  }

  async #slots(): Promise<SlotRead[]> {
    return (await this.#cluster.journals()).read()
  }

  async #quiet(): Promise<void> {
    const began = monotonicMs()
    let why = ''
    const isQuiet = async () => {
      why = await this.#restless()
      return why === ''
    }
    const open = () => this.#callers.flatMap((caller) => [...caller.open])
    await this.#cluster.until(() => open().length === 0, 'all callers have their answers')
    await this.#cluster.until(isQuiet, () => `it comes to rest; ${why}`, QUIET_MS, LOOK_MS)
    const { shards } = await this.#cluster.settled()
    const at = monotonicMs()
    for (const { shard, owner } of shards) {
      // Who took it last may have been late to notice that it had: who serves it, all of them say.
      const taken = { kind: 'taken' as const, node: owner ?? '', shard, slot: 0, view: 0 }
      this.#recorded.push({ ...taken, at })
    }
    this.#recorded.push({ kind: 'drained', afterMs: Math.round(at - began), at })
  }

  /** Empty when nothing is left to do. What has parked or was paused goes on: an operator tidies up. */
  async #restless(): Promise<string> {
    const slots = await this.#slots()
    const { losses, settings } = this.#cluster
    const mirror = finalMirror(gather({ recorded: this.#everything(), slots, losses }))
    for (let shard = 0; shard < settings.shards; shard++) {
      const [row] = mirror.outbox(shard)
      if (row !== undefined) return `shard ${shard} keeps a message: ${row}`
    }
    let why = ''
    for (const actor of mirror.all()) {
      const more = restlessness(actor, Date.now())
      if (more === undefined) continue
      why ||= `${actor.address} ${more}`
      if ((actor.paused || actor.parked !== null) && this.#operator.open.size === 0) {
        this.#operator.call({ address: actor.address, op: 'resume', author: 'op' }, PATIENCE_MS)
      }
    }
    return why
  }

  /** Every actor is asked for once more. */
  async #readBack(): Promise<void> {
    for (const address of this.#workload.addresses) {
      const id = this.#operator.newId()
      this.#recorded.push({ kind: 'read-began', id, address, at: monotonicMs() })
      this.#operator.call({ address, op: 'get', id }, PATIENCE_MS)
    }
    const isDone = () => this.#operator.open.size === 0
    await this.#cluster.until(isDone, 'every actor answers')
  }

  /** Of each owner and each standby that is near: whether its rows are what the journal says. */
  async #endStores(events: SimEvent[], archive: Archive): Promise<void> {
    const { shards } = await this.#cluster.settled()
    const last = new Map(
      [...finalMirror(events).chains].map(([shard, chain]) => [shard, chain.at(-1)!.slot]),
    )
    for (const node of this.#cluster.up) {
      const store = LmdbStore.open({ directory: join(node.dataDirectory, 'store'), readOnly: true })
      const named = shards.filter((one) => isNamed(one, node.name))
      for (const { shard } of named) {
        const appliedSlot = appliedOf(store, shard)
        if (appliedSlot === 0 || appliedSlot > (last.get(shard) ?? 0)) continue
        const differs = archive.difference(shard, appliedSlot, rowsOf(store, shard)) ?? null
        const event = { kind: 'end-store' as const, node: node.name, shard, appliedSlot, differs }
        events.push({ ...event, seq: events.length, at: monotonicMs() })
      }
      await store.close()
    }
  }
}

function isNamed({ owner, standby }: ShardReport, node: string): boolean {
  return owner === node || standby === node
}
