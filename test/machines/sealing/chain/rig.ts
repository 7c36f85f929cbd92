/** The simulated chain in an engine under a virtual clock, and what tests ask of it. */
import { Chain, chainConfig, chainMachines } from '../../../../machines/sealing/chain/index.ts'
import type { ChainState, SectorId } from '../../../../machines/sealing/venus/index.ts'
import type { Harness } from '../../../shard/harness.ts'
import { open, restart } from '../../../shard/support.ts'

export const BLOCK_MS = 30_000
export const CHAIN_ACTOR = 'sealing-chain/main'

export function sector(number: number, miner = 1_000): SectorId {
  return { Miner: miner, Number: number }
}

/** One node of a cluster, and its way to the chain. */
export class ChainRig {
  h: Harness = open(chainMachines)
  config: object
  chain: Chain

  constructor(config: object = {}) {
    this.config = { seed: 'test', ...config }
    this.chain = this.another()
  }

  /** As a further node has it. */
  another(config: object = this.config): Chain {
    return new Chain(this.h.client, this.h.clock, chainConfig.parse(config))
  }

  restart(config: object = this.config): void {
    this.config = config
    this.h = restart(this.h, chainMachines)
    this.chain = this.another()
  }

  async blocks(count: number): Promise<void> {
    await this.h.advance(count * BLOCK_MS)
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.h.run(work)
  }

  submit(
    number: number,
    kind: Parameters<Chain['submit']>[0] = 'snapUp',
    { payload = { by: 'first' } as unknown, replace = false } = {},
  ): Promise<void> {
    return this.run(this.chain.submit(kind, sector(number), payload, { replace }))
  }

  state(number: number, kind: Parameters<Chain['submit']>[0] = 'snapUp') {
    return this.run(this.chain.messageState(kind, sector(number)))
  }

  async states(numbers: readonly number[], kind: Parameters<Chain['submit']>[0] = 'snapUp') {
    const states: ChainState[] = []
    for (const number of numbers) states.push((await this.state(number, kind)).state)
    return states
  }

  async height(): Promise<number> {
    return (await this.run(this.chain.head())).height
  }
}
