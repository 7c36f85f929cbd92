/**
 * How far a message is. Decides: its state as the Venus interface names it, by the present height and the
 * reorganisations so far, and what people are told. Pure.
 */
import type { ChainState } from '../venus/index.ts'
import { packedAfter } from './heights.ts'
import type { Ledger } from './ledger.ts'
import type { MessageContext } from './message.ts'
import type { MessageFault } from './settings.ts'

export interface Standing {
  state: ChainState
  /** Of the block that it is in; undefined before. */
  height?: number
  /** Blocks until it can have landed at the earliest; undefined once that is decided. */
  blocksLeft?: number
  why: string
}

type Message = Pick<MessageContext, 'kind' | 'sector' | 'sent' | 'isUnheard'>

const FAILED: Readonly<Record<Exclude<MessageFault, 'shouldAbort'>, [ChainState, string]>> = {
  fail: ['Failed', 'it ran out of gas'],
  permFail: ['PermFailed', 'the chain refused it: exit code 16'],
  notFound: ['NotFound', 'no node of the chain knows it'],
}

export function standingOf(message: Message, ledger: Ledger, head: number): Standing {
  const { kind, sector, sent, isUnheard } = message
  const { confidence } = ledger.settings
  if (isUnheard) {
    const why = `the chain never heard of the ${kind} of ${sector}: submit it again`
    return { state: 'NotFound', why }
  }
  if (sent === null) {
    return { state: 'Pending', blocksLeft: 1 + confidence, why: 'it waits for its batch' }
  }
  const height = packedAfter(ledger.reorgs, sent.height + 1)
  const blocksLeft = height + confidence - head
  if (head < height) return { state: 'Pending', blocksLeft, why: 'it waits for the next block' }
  if (sent.fate !== 'ok' && sent.fate !== 'shouldAbort') {
    const [state, why] = FAILED[sent.fate]
    return { state, height, why }
  }
  if (blocksLeft > 0) {
    const why = `it is in block ${height}, with ${head - height} of ${confidence} blocks on top`
    return { state: 'Packed', height, blocksLeft, why }
  }
  if (sent.fate === 'ok') return { state: 'Landed', height, why: `it landed in block ${height}` }
  const why = `it landed in block ${height}, but the chain knows nothing of the sector`
  return { state: 'ShouldAbort', height, why }
}
