/**
 * What callers ask of the actors of drawn charts. Decides: the mix of commands, and that an event
 * carries the id of its command, so that a turn in the history tells the whole event. Leaves to
 * others: who asks, and when (workload.ts).
 */
import { type ChartPlan, EVENTS, pathsOf, rootOf } from './charts.ts'
import type { SimRandom } from './random.ts'

type Request = Record<string, unknown> & { op: string }
type Make = (work: ChartWork, id: string, address: string) => Request

const PER_CHART = 2

/** How often each is asked for, out of the sum. */
const MIX: readonly [weight: number, make: Make][] = [
  [44, (w, mark) => ({ op: 'send', event: { type: w.random.pick(EVENTS), mark } })],
  [12, (w, mark) => ({ op: 'send', event: { type: 'TELL', to: w.any(), mark } })],
  [5, () => ({ op: 'get' })],
  [2, () => ({ op: 'send', event: { type: 'SPOIL' } })],
  [4, (w) => ({ op: 'pause', timers: w.random.pick(['run', 'freeze']), ...w.interrupt() })],
  [7, () => ({ op: 'resume' })],
  [3, () => ({ op: 'resume', retry: true })],
  [5, (w, _id, address) => ({ op: 'resume', state: w.random.pick(w.statesOf(address)) })],
  [2, (w) => ({ op: 'patch', merge: { patched: w.random.between(1, 9) } })],
  [1, () => ({ op: 'cancel' })],
  [3, () => ({ op: 'delete' })],
  [7, (_w, life) => ({ op: 'start', input: { life } })],
]

/** Refused, whatever the actor's condition. */
const BAD: readonly Request[] = [
  { op: 'send', event: { type: 'NONSENSE' } },
  { op: 'send', event: { type: 'E1', mark: 1 } },
  { op: 'send', event: { type: 'KID' } },
  { op: 'patch', merge: { count: 'text' } },
  { op: 'resume', state: 'nowhere' },
  { op: 'start', input: {} },
]

const TOTAL = MIX.reduce((sum, [weight]) => sum + weight, 0)

export class ChartWork {
  readonly random: SimRandom
  readonly addresses: readonly string[]
  readonly #states = new Map<string, readonly string[]>()

  constructor(random: SimRandom, charts: readonly ChartPlan[]) {
    this.random = random
    this.addresses = charts.flatMap(({ name }) =>
      Array.from({ length: PER_CHART }, (_, index) => `${name}/${name}x${index}`),
    )
    for (const plan of charts) {
      const both = new Set([...pathsOf(rootOf(plan, 1)), ...pathsOf(rootOf(plan, 2))])
      this.#states.set(plan.name, [...both])
    }
  }

  any(): string {
    return this.random.pick(this.addresses)
  }

  interrupt(): object {
    return this.random.chance(0.3) ? { interrupt: true } : {}
  }

  /** Of both versions: an actor of the other one refuses what it does not have. */
  statesOf(address: string): readonly string[] {
    return this.#states.get(address.slice(0, address.indexOf('/'))) ?? []
  }

  start(id: string): Request {
    return { op: 'start', input: { life: id } }
  }

  draw(id: string): [address: string, request: Request] {
    let at = this.random.fraction() * TOTAL
    const chosen = MIX.find(([weight]) => {
      at -= weight
      return at < 0
    })
    const address = this.any()
    return [address, (chosen ?? MIX[0]!)[1](this, id, address)]
  }

  bad(): [address: string, request: Request] {
    return [this.any(), this.random.pick(BAD)]
  }
}
