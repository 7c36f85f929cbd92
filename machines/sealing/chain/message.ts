/**
 * The machine `sealing-message`: what one sector puts on the chain, from the batch to the block. Decides:
 * when a submission is the one that is there already, when it replaces it, and that only the newest is
 * sent. Leaves to others: batches and faults (`ledger.ts`), how far it is by now (`standing.ts`): that
 * follows from the height, so a message that was sent needs no more turns, but for its end: the chain
 * forgets it, as chains forget a precommit that no proof came for. Submitted again it is a new one.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, reply, tell } from '../../../src/index.ts'
import { parseSectorName } from '../venus/index.ts'
import { CHAIN, sectorText } from './addresses.ts'
import type { Fate } from './ledger.ts'
import { MESSAGE_FAULTS, MESSAGE_KINDS, type MessageKind } from './settings.ts'

/** 30 days: nobody polls for it, or proves what it precommitted, for so long. */
const REMEMBERED_MS = 30 * 86_400_000

const submission = z.object({
  /** Hex of SHA-256 of the payload. */
  digest: z.string().max(64),
  replace: z.boolean(),
  atMs: z.int().min(0),
  /** As the one who submits knows it. */
  height: z.int().min(0),
})
const messageInput = submission.extend({ kind: z.enum(MESSAGE_KINDS), sector: sectorText })

export interface MessageContext {
  kind: MessageKind
  sector: string
  digest: string
  /** Counts what was replaced. */
  attempt: number
  submittedAtMs: number
  sent: { height: number; fate: Fate } | null
  /** The chain did not take it: its actor is gone. */
  isUnheard: boolean
}

type Submission = z.output<typeof submission>
type MessageEvent =
  | ({ type: 'SUBMIT' } & Submission)
  | { type: 'SENT'; attempt: number; height: number; fate: Fate }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string; attempt?: unknown } }

export type SubmitVerdict = 'same' | 'conflict' | 'swap' | 'renew'

/**
 * Sent again, the same payload is the same message, unless that one failed and is to be replaced. While
 * it waits for its batch another payload takes its place there.
 */
function verdictOn(now: MessageContext, event: Submission): SubmitVerdict {
  const { sent, isUnheard, digest } = now
  const hasFailed = sent !== null && sent.fate !== 'ok' && event.height > sent.height
  if (digest === event.digest) return isUnheard || (hasFailed && event.replace) ? 'renew' : 'same'
  if (!event.replace) return 'conflict'
  return sent === null && !isUnheard ? 'swap' : 'renew'
}

const chart = setup({
  types: {
    context: {} as MessageContext,
    events: {} as MessageEvent,
    input: {} as z.output<typeof messageInput>,
  },
  actions: {
    answer: reply((_, { verdict }: { verdict: SubmitVerdict }) => verdict),
    queue: tell(({ context: { kind, sector, attempt, submittedAtMs } }) => ({
      to: CHAIN,
      event: {
        type: 'ADD',
        kind,
        miner: parseSectorName(sector).Miner,
        sector,
        attempt,
        atMs: submittedAtMs,
      },
    })),
    swap: assign(({ event }) => (event.type === 'SUBMIT' ? { digest: event.digest } : {})),
    renew: assign(({ context, event }) =>
      event.type === 'SUBMIT'
        ? {
            digest: event.digest,
            attempt: context.attempt + 1,
            submittedAtMs: event.atMs,
            sent: null,
            isUnheard: false,
          }
        : {},
    ),
    note: assign(({ event }) =>
      event.type === 'SENT' ? { sent: { height: event.height, fate: event.fate } } : {},
    ),
  },
  delays: { remembered: REMEMBERED_MS },
  guards: {
    is: ({ context, event }, { verdict }: { verdict: SubmitVerdict }) =>
      event.type === 'SUBMIT' && verdictOn(context, event) === verdict,
    isPresent: ({ context, event }) =>
      event.type === 'SENT'
        ? event.attempt === context.attempt
        : event.type === 'troupe.deadLetter' && event.event.attempt === context.attempt,
  },
})

const answered = (verdict: SubmitVerdict) => ({ type: 'answer', params: { verdict } }) as const
const on = (verdict: SubmitVerdict) => ({ type: 'is', params: { verdict } }) as const

const machine = chart.createMachine({
  id: 'sealing-message',
  context: ({ input: { kind, sector, digest, atMs } }) => ({
    kind,
    sector,
    digest,
    attempt: 1,
    submittedAtMs: atMs,
    sent: null,
    isUnheard: false,
  }),
  initial: 'queued',
  states: {
    queued: {
      entry: 'queue',
      on: {
        SENT: { guard: 'isPresent', target: 'sent', actions: 'note' },
        'troupe.deadLetter': {
          guard: 'isPresent',
          target: 'unheard',
          actions: assign({ isUnheard: true }),
        },
      },
    },
    sent: { after: { remembered: 'over' } },
    unheard: { after: { remembered: 'over' } },
    over: { type: 'final' },
  },
  on: {
    SUBMIT: [
      { guard: on('same'), actions: answered('same') },
      { guard: on('conflict'), actions: answered('conflict') },
      { guard: on('swap'), actions: ['swap', answered('swap')] },
      { guard: on('renew'), target: '.queued', actions: ['renew', answered('renew')] },
    ],
  },
})

export const sealingMessage = defineMachine({
  machine,
  input: messageInput,
  events: {
    SUBMIT: submission,
    SENT: z.object({
      attempt: z.int().min(1),
      height: z.int().min(0),
      fate: z.enum(['ok', ...MESSAGE_FAULTS]),
    }),
  },
  index: ({ kind, sector }) => ({ kind, sector }),
  retention: { finishedMs: 0, historyCount: 20 },
})
