/**
 * What callers ask of the actors of a simulated world.
 *
 * Decides: the mix of commands: events, timers, tells, tasks, children, operators' commands, input
 * that must be refused, reads, and the same id once more. Leaves to others: how a command travels
 * (client.ts), what it does (the production code).
 */
import { type Command, shardOf } from '../../src/protocol/index.ts'
import type { Asker } from './asker.ts'
import type { ChartWork } from './chart-work.ts'
import type { WorkCaller } from './client.ts'
import type { Recorder } from './events.ts'
import { MACHINE_NAMES, type MachineName } from './machines.ts'
import type { SimRandom } from './random.ts'
import { SideWork } from './side-work.ts'

const PATIENCE_MS = 8_000
const REPEATED_MAX = 40
/** Of what is asked while there are drawn charts. */
const CHARTS_SHARE = 0.6

type Request = Record<string, unknown> & { op: string }

/** How often each is asked for, out of the sum. */
const MIX: readonly [weight: number, make: (workload: Workload) => [string, Request]][] = [
  [30, (w) => [w.any(), { op: 'send', event: { type: 'ADD', by: 1 } }]],
  [
    12,
    (w) => [w.any(), { op: 'send', event: { type: 'ARM', delayMs: w.random.between(0, 4_000) } }],
  ],
  [14, (w) => [w.of('flat'), { op: 'send', event: { type: 'TELL', to: w.of('flat') } }]],
  [12, (w) => [w.of('nested', 'parallel', 'family'), { op: 'send', event: { type: 'WORK' } }]],
  [8, (w) => [w.any(), { op: 'send', event: { type: 'TURN' } }]],
  [6, (w) => [w.any(), { op: 'get' }]],
  [
    3,
    (w) => [w.any(), { op: 'pause', timers: w.random.pick(['run', 'freeze']), ...w.interrupt() }],
  ],
  [5, (w) => [w.any(), { op: 'resume' }]],
  [2, (w) => [w.any(), { op: 'resume', retry: true }]],
  [2, (w) => w.resumeAtState()],
  [2, (w) => [w.any(), { op: 'send', event: { type: 'SPOIL' } }]],
  [2, (w) => [w.any(), { op: 'patch', merge: { patched: w.random.between(1, 9) } }]],
  [1, (w) => [w.of('nested', 'parallel', 'family'), { op: 'cancel' }]],
  [1, (w) => [w.of('nested', 'parallel', 'family'), { op: 'delete' }]],
  [2, (w) => [w.any(), { op: 'start' }]],
]

/** Refused, whatever the actor's condition. */
const BAD: readonly Request[] = [
  { op: 'send', event: { type: 'NONSENSE' } },
  { op: 'send', event: { type: 'ADD', by: 'many' } },
  { op: 'send', event: { type: 'RING' } },
  { op: 'patch', merge: { adds: 'text' } },
  { op: 'resume', state: 'nowhere' },
]

const STATES: Record<MachineName, readonly string[]> = {
  flat: ['on', 'off'],
  nested: ['idle', 'busy', 'busy.resting'],
  parallel: ['left.idle', 'left.busy', 'right.tick'],
  family: ['alone', 'parent'],
}

const TOTAL = MIX.reduce((sum, [weight]) => sum + weight, 0)

export class Workload {
  readonly random: SimRandom
  readonly #patience: SimRandom
  readonly #rests: SimRandom
  readonly #callers: readonly WorkCaller[]
  readonly #readers: readonly WorkCaller[]
  readonly #askers: readonly Asker[]
  readonly #beside: readonly SideWork[]
  readonly #recorder: Pick<Recorder, 'add'>
  readonly #charts: ChartWork | undefined
  readonly #fixed: readonly string[]
  /** Of all actors that anybody asks. */
  readonly addresses: readonly string[]
  readonly #thinkMs: number
  readonly #restChance: number
  readonly #sent: Command[] = []
  #isOver = false

  constructor(options: {
    random: SimRandom
    callers: readonly WorkCaller[]
    readers: readonly WorkCaller[]
    askers: readonly Asker[]
    beside: readonly WorkCaller[]
    recorder: Pick<Recorder, 'add'>
    actors: number
    thinkMs: number
    restChance: number
    charts: ChartWork | undefined
  }) {
    this.random = options.random
    this.#patience = options.random.fork('patience')
    this.#rests = options.random.fork('rests')
    this.#callers = options.callers
    this.#readers = options.readers
    this.#askers = options.askers
    this.#recorder = options.recorder
    this.#thinkMs = options.thinkMs
    this.#restChance = options.restChance
    this.#charts = options.charts
    // At least one of each machine, and tells need two that are flat.
    this.#fixed = Array.from({ length: Math.max(5, options.actors) }, (_, index) => {
      const name = index < 2 ? 'flat' : MACHINE_NAMES[index % MACHINE_NAMES.length]!
      return `${name}/${name[0]}${index}`
    })
    this.addresses = [...this.#fixed, ...(this.#charts?.addresses ?? [])]
    this.#beside = options.beside.map((caller) => {
      const random = options.random.fork(caller.name)
      return new SideWork(random, caller, this.addresses, this.#thinkMs)
    })
  }

  begin(): void {
    const [first] = this.#callers
    for (const address of this.#fixed) first!.call({ address, op: 'start' }, 60_000)
    for (const address of this.#charts?.addresses ?? []) {
      const id = first!.newId()
      first!.call({ address, id, ...this.#charts!.start(id) } as Command, 60_000)
    }
    for (const caller of this.#callers) this.#next(caller, () => this.#act(caller))
    for (const one of [...this.#askers, ...this.#beside]) one.begin()
    for (const reader of this.#readers) this.#next(reader, () => this.#read(reader))
  }

  end(): void {
    this.#isOver = true
    for (const one of [...this.#askers, ...this.#beside]) one.end()
  }

  any(): string {
    return this.random.pick(this.#fixed)
  }

  of(...names: readonly MachineName[]): string {
    const fitting = this.#fixed.filter((address) =>
      names.some((name) => address.startsWith(`${name}/`)),
    )
    return this.random.pick(fitting)
  }

  interrupt(): object {
    return this.random.chance(0.3) ? { interrupt: true } : {}
  }

  resumeAtState(): [string, Request] {
    const address = this.any()
    const name = address.slice(0, address.indexOf('/')) as MachineName
    return [address, { op: 'resume', state: this.random.pick(STATES[name]) }]
  }

  /** Where two addresses live apart, as text for the account. */
  shardsOf(shards: number): Map<string, number> {
    return new Map(this.addresses.map((address) => [address, shardOf(address, shards)]))
  }

  #next(caller: WorkCaller, act: () => void): void {
    const rests = this.#rests.chance(this.#restChance)
    const meanMs = rests ? this.#thinkMs / this.#restChance : this.#thinkMs
    caller.process.after(this.random.exponential(meanMs), () => {
      if (this.#isOver) return
      act()
      this.#next(caller, act)
    })
  }

  #read(caller: WorkCaller): void {
    const address = this.random.pick(this.addresses)
    const id = caller.newId()
    this.#recorder.add({ kind: 'read-began', id, address })
    caller.call({ address, op: 'get', id }, PATIENCE_MS)
  }

  #act(caller: WorkCaller): void {
    if (this.random.chance(0.05)) return this.#repeat(caller)
    if (this.random.chance(0.04)) return this.#bad(caller)
    const id = caller.newId()
    const [address, request] = this.#isForCharts() ? this.#charts!.draw(id) : this.#draw()
    const command = { address, ...request, id, author: caller.name } as Command
    if (request.op === 'get') {
      this.#recorder.add({ kind: 'read-began', id, address })
    } else {
      this.#sent.push(command)
      if (this.#sent.length > REPEATED_MAX) this.#sent.shift()
    }
    // Some ask once and believe what they are told.
    caller.call(command, this.#patience.chance(0.1) ? -1 : PATIENCE_MS)
  }

  #isForCharts(): boolean {
    return this.#charts !== undefined && this.random.chance(CHARTS_SHARE)
  }

  #draw(): [string, Request] {
    let at = this.random.fraction() * TOTAL
    const chosen = MIX.find(([weight]) => {
      at -= weight
      return at < 0
    })
    return (chosen ?? MIX[0]!)[1](this)
  }

  /** The same id, perhaps by another caller, perhaps while the first copy is on its way. */
  #repeat(caller: WorkCaller): void {
    if (this.#sent.length > 0) caller.call(this.random.pick(this.#sent), PATIENCE_MS)
  }

  #bad(caller: WorkCaller): void {
    const [address, request] = this.#isForCharts()
      ? this.#charts!.bad()
      : [this.any(), this.random.pick(BAD)]
    const command = { address, ...request, id: caller.newId() }
    caller.call(command as unknown as Command, PATIENCE_MS, undefined, true)
  }
}
