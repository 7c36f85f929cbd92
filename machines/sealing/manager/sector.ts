/**
 * The machine `sealing-sector`: the manager's record of a sector; its id is the sector's name. Decides:
 * its states, which are how the sector stands, and by what lists find it. Leaves to others: what its events
 * change and answer (`sector-rules.ts`).
 */
import { setup } from 'xstate'
import { defineMachine, formatAddress, reply, tell } from '../../../src/index.ts'
import { type SectorId, sectorName } from '../venus/index.ts'
import { SECTOR_EVENTS, type SectorAnswer, type SectorEvent } from './sector-events.ts'
import {
  isAtWork,
  isUpgradable,
  newRecord,
  type SectorInput,
  type SectorRecord,
  type Standing,
  sectorInput,
  sectorRecord,
} from './sector-record.ts'
import { decide, type Message } from './sector-rules.ts'

/** Enough to see how it came to where it stands. */
const HISTORY_COUNT = 50

const chart = setup({
  types: {
    context: {} as SectorRecord,
    events: {} as SectorEvent,
    input: {} as SectorInput,
  },
  actions: {
    answer: reply((_, { answer }: { answer: SectorAnswer }) => answer),
    tell: tell((_, { messages }: { messages: Message[] }) => messages),
  },
  guards: {
    stands: ({ context }, { as }: { as: Standing }) => context.standing === as,
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  const { next, messages, answer } = decide(context, event)
  enqueue.assign(next)
  if (messages.length > 0) enqueue({ type: 'tell', params: { messages } })
  enqueue({ type: 'answer', params: { answer } })
})

/** To where the record says that it stands. */
const to = (target: Standing) => ({
  guard: { type: 'stands' as const, params: { as: target } },
  target,
})

const machine = chart.createMachine({
  id: 'sealing-sector',
  context: ({ input }) => newRecord(input),
  initial: 'online',
  on: Object.fromEntries(
    Object.keys(SECTOR_EVENTS).map((type) => [type, { actions: act }]),
  ) as Record<SectorEvent['type'], { actions: typeof act }>,
  states: {
    online: { always: [to('finalized'), to('aborted')] },
    finalized: { always: [to('upgrading')] },
    upgrading: { always: [to('finalized')] },
    aborted: {},
  },
})

export const sector = defineMachine({
  machine,
  input: sectorInput,
  context: sectorRecord,
  events: SECTOR_EVENTS,
  index: (record) => {
    const { sector: of, task, rebuild, unseals, reports, heardAt, persisted, stop, end } = record
    const last = reports.at(-1)
    const taken = unseals.find((wish) => wish.task !== null)
    return {
      miner: of.ID.Miner,
      number: of.ID.Number,
      proofType: of.ProofType,
      upgradable: isUpgradable(record),
      task,
      wantsRebuild: rebuild !== null && !isAtWork(record),
      rebuildTask: rebuild?.task ?? null,
      wantsUnseal: unseals.length > 0 && !isAtWork(record),
      unsealTask: taken?.task ?? null,
      worker: last?.worker ?? null,
      state: last?.next ?? null,
      heardAt,
      store: persisted?.store ?? null,
      reason: clip(end?.reason ?? stop?.reason ?? last?.failure?.desc ?? ''),
    }
  },
  retention: { historyCount: HISTORY_COUNT },
})

export function sectorAddress(id: SectorId): string {
  return formatAddress('sealing-sector', sectorName(id))
}

const REASON_CHARS_MAX = 200

function clip(text: string): string {
  return text.slice(0, REASON_CHARS_MAX)
}
