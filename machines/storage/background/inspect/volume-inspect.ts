/**
 * The machine `volume-inspect`: pass after pass over all volumes, each of which a worker inspects. There is one
 * of it in the cluster.
 *
 * Decides: when more volumes are looked for, and that leases and waits are timers of the actor, so that they go
 * on over a crash; that behind each pass what is known of volumes that are gone goes. Leaves to others: what its
 * events change (`inspect-rules.ts`), the look (`inspect-list.ts`), the inspection itself (`inspect-run.ts`), what
 * is gone (`inspect-tidy.ts`).
 *
 * ```
 * off ◄──SWITCH──► on   deciding ──► listing ──► deciding     half of a batch is done
 *                          │            └──► stumbling ──► listing
 *                          ├──► working ──► deciding           workers are at it
 *                          └──► tidying ──► resting ──► deciding     the pass is over
 * ```
 */
import { cancel, setup } from 'xstate'
import {
  addressOf,
  defineMachine,
  formatAddress,
  type MachineDefinition,
  reply,
  tell,
} from '../../../../src/index.ts'
import { outputOf } from '../../plane/task-ends.ts'
import { clippedWhy } from '../../plane/why.ts'
import { isUnheardSubscription, subscriptionTo } from '../../switches/index.ts'
import { listTask } from './inspect-list.ts'
import {
  INTERNAL,
  type InspectAnswer,
  type InspectEvent,
  type InspectRecord,
  inspectContext,
  inspectEvents,
  type Listed,
} from './inspect-record.ts'
import {
  decide,
  ended,
  freeCount,
  isPassOver,
  listed,
  newInspection,
  nextPass,
  restMs,
  wantsMore,
} from './inspect-rules.ts'
import { tidyTask } from './inspect-tidy.ts'

export const INSPECT_ADDRESS = formatAddress('volume-inspect', 'main')
export const inspectSingleton = { machine: 'volume-inspect', id: 'main' } as const

const SUBSCRIBE_AGAIN_MS = 1_000
const STUMBLED_MS = 5_000
const HISTORY_COUNT = 20

const chart = setup({
  types: { context: {} as InspectRecord, events: {} as InspectEvent },
  actors: { list: listTask, tidy: tidyTask },
  delays: {
    aRest: ({ context }) => restMs(context),
    afterStumbling: STUMBLED_MS,
  },
  guards: {
    isOn: ({ context }) => context.isOn,
    isOff: ({ context }) => !context.isOn,
    wantsMore: ({ context }) => wantsMore(context),
    isPassOver: ({ context }) => isPassOver(context),
    isNextPass: ({ context }) => context.pass.endedAt === null,
  },
  actions: {
    subscribe: tell(({ self }) => subscriptionTo(['volume_inspect'], addressOf(self))),
    answer: reply((_, { answer }: { answer: InspectAnswer }) => answer),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  if (event.type === 'SUBSCRIBE_AGAIN') return enqueue('subscribe')
  // The switches may be younger.
  if (isUnheardSubscription(event)) {
    enqueue.raise({ type: 'SUBSCRIBE_AGAIN' }, { id: 'subscribe', delay: SUBSCRIBE_AGAIN_MS })
  }
  const { next, answer } = decide(context, event)
  enqueue.assign(next)
  const leaseMs = 'leaseMs' in event ? event.leaseMs : 0
  for (const vid of Object.keys({ ...context.volumes, ...next.volumes })) {
    const [before, now] = [context.volumes[vid], next.volumes[vid]]
    if (before?.lease !== now?.lease) {
      const id = `lease-${vid}`
      enqueue(cancel(id))
      const { lease } = now ?? { lease: null }
      if (lease) enqueue.raise({ type: 'LEASE_OVER', taskId: lease.taskId }, { id, delay: leaseMs })
    }
    if (before?.retryAt !== now?.retryAt) {
      const id = `retry-${vid}`
      enqueue(cancel(id))
      if (now && now.retryAt !== null) {
        enqueue.raise({ type: 'RETRY_DUE', vid }, { id, delay: next.settings.retryMs })
      }
    }
  }
  if (answer) enqueue({ type: 'answer', params: { answer } })
})

/** The types of events name no ends of tasks. */
const take = chart.assign(({ context, event }) => listed(context, outputOf<Listed>(event))) as never

const keepWhy = chart.assign(({ event }) => {
  const why = `the volumes cannot be listed: ${failureOf(event)}`
  return { waits: { why, until: null } }
}) as never

const end = chart.assign(({ context }) => ended(context)) as never
const endUntidy = chart.assign(({ context, event }) => ended(context, failureOf(event))) as never

function failureOf(event: unknown): string {
  const { error } = event as { error: { message?: string } }
  return clippedWhy(error.message ?? 'the look was given up')
}

const machine = chart.createMachine({
  id: 'volume-inspect',
  context: newInspection(),
  entry: 'subscribe',
  on: {
    SWITCH: { actions: act },
    ACQUIRE: { actions: act },
    RENEW: { actions: act },
    COMPLETE: { actions: act },
    GIVE_BACK: { actions: act },
    DISMISS: { actions: act },
    INSPECT: { actions: act },
    BEGIN: { actions: act },
    LEASE_OVER: { actions: act },
    RETRY_DUE: { actions: act },
    SUBSCRIBE_AGAIN: { actions: act },
    'troupe.deadLetter': { actions: act },
  },
  initial: 'off',
  states: {
    off: { always: { guard: 'isOn', target: 'on' } },
    on: {
      always: { guard: 'isOff', target: 'off' },
      initial: 'deciding',
      states: {
        deciding: {
          always: [
            { guard: 'wantsMore', target: 'listing' },
            { guard: 'isPassOver', target: 'tidying' },
            { target: 'working' },
          ],
        },
        working: {
          always: [
            { guard: 'wantsMore', target: 'listing' },
            { guard: 'isPassOver', target: 'tidying' },
          ],
        },
        listing: {
          invoke: {
            id: 'list',
            src: 'list',
            input: ({ context: { cursor, nextVid } }) => ({ cursor, nextVid }),
            onDone: { target: 'deciding', actions: take },
            onError: { target: 'stumbling', actions: keepWhy },
          },
        },
        stumbling: { after: { afterStumbling: 'listing' } },
        tidying: {
          invoke: {
            ...{ id: 'tidy', src: 'tidy', input: {} },
            onDone: { target: 'resting', actions: end },
            onError: { target: 'resting', actions: endUntidy },
          },
        },
        resting: {
          // An operator has begun the next one.
          always: { guard: 'isNextPass', target: 'deciding' },
          after: {
            aRest: {
              target: 'deciding',
              actions: chart.assign(({ context }) => nextPass(context)),
            },
          },
        },
      },
    },
  },
})

export const volumeInspect: MachineDefinition = defineMachine({
  machine,
  context: inspectContext,
  internal: INTERNAL,
  events: inspectEvents,
  index: (record) => {
    const { isOn, pass, volumes, totals } = record
    const { number: current, inspected, missed, corrupt, lost, setAside } = pass
    return {
      ...{ isOn, pass: current, inspected, missed, corrupt, lost, setAside },
      ...{ pending: Object.keys(volumes).length, free: freeCount(record) },
      ...totals,
    }
  },
  retention: { historyCount: HISTORY_COUNT },
})
