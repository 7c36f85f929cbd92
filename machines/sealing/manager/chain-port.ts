/**
 * What the manager needs of a chain. Decides: the port. Leaves to others: the chain itself (`chain/`), and
 * batching, which happens behind `submit`.
 */
import type { ChainState, SectorId, Seed, Ticket } from '../venus/index.ts'

export type MessageKind = 'preCommit' | 'prove' | 'snapUp'

export interface ChainPort {
  head(): Promise<{ height: number; blockMs: number }>
  /** What sealing begins with: randomness of a height that is final. */
  ticket(miner: number, height: number): Promise<{ ticket: string; epoch: number }>
  /**
   * Queued for the next batch; the same payload again changes nothing. With `replace` it stands for an
   * earlier one.
   */
  submit(
    kind: MessageKind,
    sector: SectorId,
    payload: unknown,
    options: { replace: boolean },
  ): Promise<void>
  messageState(
    kind: MessageKind,
    sector: SectorId,
  ): Promise<{ state: ChainState; desc: string; height?: number }>
  /** Of a sector whose precommit has landed. */
  seed(sector: SectorId): Promise<{ ready: boolean; delayMs: number; seed?: Seed }>
  /** Whether its number is taken there. */
  sectorOnChain(sector: SectorId): Promise<boolean>
}

/** As answers carry it. */
export function ticketOf({ ticket, epoch }: { ticket: string; epoch: number }): Ticket {
  return { Ticket: ticket, Epoch: epoch }
}
