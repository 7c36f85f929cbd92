/**
 * Anything in any order: two nodes that take the shard from each other, freeze, crash and lose
 * answers; or one node whose journal loses its end. Whatever happens, what was acknowledged is there
 * once, nothing is there twice, and nobody is shown an older state than was acknowledged before.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import { judgeJournal, rowsOf } from './journaled-judge.ts'
import { type JournaledNode, Nodes, type Parts } from './journaled-nodes.ts'

const A = 'counter/a'

export type Step =
  | {
      kind: 'note' | 'again' | 'get' | 'open' | 'open-old' | 'kill' | 'hold' | 'full'
      node: number
    }
  | { kind: 'release'; node: number; how: 'arrive' | 'lose' }
  | { kind: 'fault'; node: number; on: 'write' | 'read' | 'end'; happened: boolean; lands: number }
  | { kind: 'pass'; ms: number }
  | { kind: 'lose'; count: number }

const node = fc.nat(1)
const simple = <K extends string>(kind: K) => fc.record({ kind: fc.constant(kind), node })
const common = [
  { weight: 8, arbitrary: simple('note') },
  { weight: 2, arbitrary: simple('again') },
  { weight: 3, arbitrary: simple('get') },
  { weight: 3, arbitrary: simple('open') },
  { weight: 2, arbitrary: simple('kill') },
  { weight: 1, arbitrary: simple('full') },
  { weight: 2, arbitrary: simple('hold') },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('release' as const),
      node,
      how: fc.constantFrom('arrive' as const, 'lose' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fault' as const),
      node,
      on: fc.constantFrom('write' as const, 'write' as const, 'read' as const, 'end' as const),
      happened: fc.boolean(),
      lands: fc.constantFrom(0, 0, 3, 40, 3_000),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.constantFrom(0, 1, 2, 5, 20, 200, 40_000),
    }),
  },
]
const options = { minLength: 1, maxLength: 60, size: 'max' as const }

export const twoNodes: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(...common, { weight: 1, arbitrary: simple('open-old') }) as fc.Arbitrary<Step>,
  options,
)
export const losses: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(...common, {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('lose' as const),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  }) as fc.Arbitrary<Step>,
  options,
)

export async function judgeRun(
  parts: Parts,
  steps: readonly Step[],
  setup: { nodes: number; seed: number },
): Promise<void> {
  const run = new Run(parts, setup)
  await run.begin()
  for (const step of steps) await run.take(step)
  await run.finish()
}

/** Two nodes that do not ask each other for their tails may lose an end, but never mix two chains. */
export async function judgeChain(
  parts: Parts,
  steps: readonly Step[],
  seed: number,
): Promise<void> {
  const run = new Run(parts, { nodes: 2, seed })
  await run.begin()
  for (const step of steps) await run.take(step)
  await run.finishApart()
}

class Run {
  readonly #nodes: Nodes
  readonly #all: JournaledNode[]
  readonly #sent: { text: string; id: string }[] = []
  readonly #acknowledged = new Set<string>()
  readonly #problems: unknown[] = []

  constructor(parts: Parts, { nodes, seed }: { nodes: number; seed: number }) {
    this.#nodes = new Nodes({ parts })
    const random = new SeededRandom(seed)
    const latencyMs = () => Math.floor(random.fraction() * 4)
    this.#all = ['a', 'b'].slice(0, nodes).map((name) => {
      const journal = seed % 3 === 0 ? {} : { latencyMs }
      return this.#nodes.node(name, { journal, store: { flushDelayMs: seed % 4 } })
    })
  }

  async begin(): Promise<void> {
    const [first] = this.#all
    await first!.serve()
    expect(await first!.answer(first!.client.start(A))).toBe('ok')
  }

  async take(step: Step): Promise<void> {
    if (step.kind === 'pass') return this.#nodes.settle(step.ms)
    if (step.kind === 'lose') return this.#nodes.loseLast(step.count)
    const node = this.#all[step.node % this.#all.length]!
    switch (step.kind) {
      case 'note':
        return this.#note(node)
      case 'again':
        return this.#again(node)
      case 'get':
        return this.#get(node)
      case 'open':
        return node.open()
      case 'open-old':
        return node.open(Math.max(1, this.#nodes.views - 2))
      case 'kill':
        node.kill()
        return node.open()
      case 'full':
        return node.store.failNext('full')
      case 'hold':
        return node.connection.hold()
      case 'release':
        return node.connection.release(step.how)
      case 'fault': {
        const { on, happened, lands } = step
        node.connection.failNext({ on, happened, ...(lands > 0 ? { landsAfterMs: lands } : {}) })
      }
    }
  }

  #note(node: JournaledNode): void {
    const text = `note ${this.#sent.length}`
    const command = { text, id: `${this.#nodes.clock.now()}-${this.#sent.length}` }
    this.#sent.push(command)
    this.#send(node, command)
  }

  #again(node: JournaledNode): void {
    const command = this.#sent.at(-1)
    if (command) this.#send(node, command)
  }

  #send(node: JournaledNode, { text, id }: { text: string; id: string }): void {
    node.note(A, text, id, 3_000).then(
      () => void this.#acknowledged.add(text),
      () => {},
    )
  }

  #get(node: JournaledNode): void {
    const before = [...this.#acknowledged]
    node.client
      .get(A, { timeoutMs: 3_000 })
      .then((view) => this.#judgeSeen((view.context as { seen: string[] }).seen, before))
      .catch((problem: { code?: string }) => {
        if (problem.code === undefined || problem.code === 'unknown-actor')
          this.#problems.push(problem)
      })
  }

  #judgeSeen(seen: readonly string[], acknowledged: Iterable<string>): void {
    expect(new Set(seen).size, 'nothing is there twice').toBe(seen.length)
    expect(seen, 'what was acknowledged is there').toEqual(
      expect.arrayContaining([...acknowledged]),
    )
  }

  /** Everything goes well again: each node takes the shard or says why its store cannot. */
  async finishApart(): Promise<void> {
    for (const node of this.#all) node.connection.release('arrive')
    await this.#nodes.settle(5_000)
    for (const node of this.#all) {
      node.kill()
      node.open()
      await node.opening()
      if (node.opened === 'serves') {
        // An actor whose making was lost is gone with it.
        const seen = await node.seen(A).catch(() => [])
        this.#judgeSeen(seen, [])
      } else expect(node.stops).toMatchObject([{ kind: 'failed' }])
    }
    judgeJournal(this.#nodes.server)
  }

  /** Everything goes well again: each node takes the shard in turn. */
  async finish(): Promise<void> {
    for (const node of this.#all) node.connection.release('arrive')
    await this.#nodes.settle(5_000)
    const rows: string[][] = []
    for (const node of this.#all) {
      node.kill()
      await node.serve()
      this.#judgeSeen(await node.seen(A), this.#acknowledged)
      rows.push(rowsOf(node.store))
    }
    judgeJournal(this.#nodes.server)
    const [first, ...others] = rows
    for (const other of others) expect(other).toEqual(first)
    expect(this.#problems).toEqual([])
  }
}
