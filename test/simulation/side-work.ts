/**
 * What is asked beside the mix of the workload, with randomness of its own: parents that send to their
 * children and to callbacks, and messages between drawn charts and the machines that every world has.
 */
import type { Command } from '../../src/protocol/index.ts'
import type { WorkCaller } from './client.ts'
import type { SimRandom } from './random.ts'

const PATIENCE_MS = 8_000

type Event = { type: string } & Record<string, unknown>

/** How often each is asked of a family, out of the sum: what goes together is sent at once. */
const MIX: readonly [weight: number, types: readonly string[]][] = [
  [3, ['COUNT']],
  [3, ['POKE']],
  [4, ['POKE', 'POKE', 'POKE']],
  [3, ['LISTEN']],
  [2, ['TURN']],
  [1, ['TURN', 'COUNT', 'POKE', 'POKE']],
  [2, ['TURN', 'LISTEN', 'POKE']],
]

export class SideWork {
  readonly #random: SimRandom
  readonly #caller: WorkCaller
  readonly #thinkMs: number
  readonly #families: readonly string[]
  readonly #flats: readonly string[]
  readonly #drawn: readonly string[]
  #isOver = false

  constructor(
    random: SimRandom,
    caller: WorkCaller,
    addresses: readonly string[],
    thinkMs: number,
  ) {
    this.#random = random
    this.#caller = caller
    this.#thinkMs = thinkMs
    const of = (name: string) => addresses.filter((address) => address.startsWith(`${name}/`))
    this.#families = of('family')
    this.#flats = of('flat')
    this.#drawn = addresses.filter((address) => /^r\d/.test(address))
  }

  begin(): void {
    this.#caller.process.after(this.#random.exponential(this.#thinkMs), () => {
      if (this.#isOver) return
      if (this.#drawn.length > 0 && this.#random.chance(0.4)) this.#tellAcross()
      else this.#askFamily()
      this.begin()
    })
  }

  end(): void {
    this.#isOver = true
  }

  #askFamily(): void {
    const address = this.#random.pick(this.#families)
    const bag = MIX.flatMap(([weight, types]) => new Array<readonly string[]>(weight).fill(types))
    for (const type of this.#random.pick(bag)) this.#send(address, () => ({ type }))
  }

  #tellAcross(): void {
    const [flat, drawn] = [this.#random.pick(this.#flats), this.#random.pick(this.#drawn)]
    if (this.#random.chance(0.5)) this.#send(flat, () => ({ type: 'TELL', to: drawn }))
    else this.#send(drawn, (mark) => ({ type: 'TELL', to: flat, mark }))
  }

  #send(address: string, eventOf: (id: string) => Event): void {
    const id = this.#caller.newId()
    const author = this.#caller.name
    const command = { op: 'send', address, id, author, event: eventOf(id) } as Command
    this.#caller.call(command, PATIENCE_MS)
  }
}
