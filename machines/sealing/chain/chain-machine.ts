/**
 * The machine `sealing-chain`: the simulated chain as one actor. Decides: its events and schemas, that
 * batches and reorganisations wait by timers of the actor, that messages are told. Leaves to others: what
 * follows from what (`ledger.ts`). Blocks are no turns: heights follow from the time that events bring.
 */
import { cancel, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, reply, tell } from '../../../src/index.ts'
import { messageAddress, sectorText } from './addresses.ts'
import {
  add,
  batchDue,
  type ChainAnswer,
  clear,
  configure,
  type Decision,
  type DueEvent,
  found,
  type Ledger,
  reorgAlarm,
  reorganise,
  reorgDue,
  script,
  setRate,
} from './ledger.ts'
import {
  chainSettings,
  MESSAGE_FAULTS,
  MESSAGE_KINDS,
  RATED_FAULTS,
  REORG_DEPTH_MAX,
} from './settings.ts'

const FAULTS_OF_SCRIPT_MAX = 100_000

const atMs = z.int().min(0)
const kind = z.enum(MESSAGE_KINDS)

const chainInput = z.object({
  chainSeed: z.string().min(1).max(256),
  settings: chainSettings,
  atMs,
})

const events = {
  ADD: z.object({ kind, miner: z.int().min(0), sector: sectorText, attempt: z.int().min(1), atMs }),
  INJECT: z.object({
    fault: z.enum(MESSAGE_FAULTS),
    kind: kind.nullable(),
    sector: sectorText.nullable(),
    left: z.int().min(1).max(FAULTS_OF_SCRIPT_MAX),
  }),
  RATE: z.object({ fault: z.enum(RATED_FAULTS), rate: z.number().min(0).max(1), atMs }),
  REORG: z.object({ depth: z.int().min(1).max(REORG_DEPTH_MAX), atMs }),
  CLEAR: z.object({ atMs }),
  CONFIGURE: z.object({ settings: chainSettings, atMs }),
}

type Payload<TType extends keyof typeof events> = z.output<(typeof events)[TType]>
type ChainEvent =
  | ({ type: 'ADD' } & Payload<'ADD'>)
  | ({ type: 'INJECT' } & Payload<'INJECT'>)
  | ({ type: 'RATE' } & Payload<'RATE'>)
  | ({ type: 'REORG' } & Payload<'REORG'>)
  | ({ type: 'CLEAR' } & Payload<'CLEAR'>)
  | ({ type: 'CONFIGURE' } & Payload<'CONFIGURE'>)
  | DueEvent

interface ChainContext extends Ledger {
  foundedAtMs: number
}

const chart = setup({
  types: {
    context: {} as ChainContext,
    events: {} as ChainEvent,
    input: {} as z.output<typeof chainInput>,
  },
  actions: {
    answer: reply((_, { answer }: { answer: ChainAnswer }) => answer),
    tell: tell((_, { sent }: Pick<Decision, 'sent'>) =>
      sent.map((one) => ({
        to: messageAddress(one.kind, one.sector),
        event: { type: 'SENT', attempt: one.attempt, height: one.height, fate: one.fate },
      })),
    ),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  const { next, sent, alarms, answer } = decide(context, event)
  enqueue.assign(next)
  for (const { id, due } of alarms) {
    enqueue(cancel(id))
    if (due) enqueue.raise(due.event, { id, delay: due.delayMs })
  }
  if (sent.length > 0) enqueue({ type: 'tell', params: { sent } })
  if (answer) enqueue({ type: 'answer', params: { answer } })
})

const begin = chart.enqueueActions(({ context, enqueue }) => {
  const { id, due } = reorgAlarm(context, context.foundedAtMs)
  if (due) enqueue.raise(due.event, { id, delay: due.delayMs })
})

const machine = chart.createMachine({
  id: 'sealing-chain',
  context: ({ input: { chainSeed, settings, atMs: foundedAtMs } }) => ({
    ...found(chainSeed, settings, foundedAtMs),
    foundedAtMs,
  }),
  initial: 'open',
  states: {
    open: {
      entry: begin,
      on: {
        ADD: { actions: act },
        INJECT: { actions: act },
        RATE: { actions: act },
        REORG: { actions: act },
        CLEAR: { actions: act },
        CONFIGURE: { actions: act },
        BATCH_DUE: { actions: act },
        REORG_DUE: { actions: act },
      },
    },
  },
})

export const sealingChain = defineMachine({
  machine,
  input: chainInput,
  internal: ['BATCH_DUE', 'REORG_DUE'],
  events,
  retention: { historyCount: 20 },
})

function decide(now: Ledger, event: ChainEvent): Decision {
  switch (event.type) {
    case 'ADD': {
      const { type: _type, atMs: addedAtMs, ...entry } = event
      return add(now, entry, addedAtMs)
    }
    case 'INJECT': {
      const { type: _type, ...fault } = event
      return script(now, fault)
    }
    case 'RATE':
      return setRate(now, event.fault, event.rate, event.atMs)
    case 'REORG':
      return reorganise(now, event.depth, event.atMs)
    case 'CLEAR':
      return clear(now, event.atMs)
    case 'CONFIGURE':
      return configure(now, event.settings, event.atMs)
    case 'BATCH_DUE':
      return batchDue(now, event.batch, event.atMs)
    case 'REORG_DUE':
      return reorgDue(now, event.atMs)
  }
}
