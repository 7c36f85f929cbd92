/**
 * The machine `storage-switches`: which background tasks may run. There is one of it, so what it says holds
 * for all nodes at once.
 *
 * Decides: that what is installed is closed unless the configuration opens it, once and for all; that whoever
 * subscribed is told the present value and every change, in their order. Leaves to others: what they do when
 * they are switched off.
 */
import { setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, type EventObject, formatAddress, reply, tell } from '../../../src/index.ts'
import { SWITCH_NAMES, type SwitchName, switchName } from './switch-names.ts'

export const SWITCHES_ADDRESS = formatAddress('storage-switches', 'main')
export const switchesSingleton = { machine: 'storage-switches', id: 'main' } as const

/** Longer than any address. */
const ADDRESS_CHARS_MAX = 512
const HISTORY_COUNT = 100

const names = z.array(switchName)
const subscription = z.object({
  address: z.string().min(1).max(ADDRESS_CHARS_MAX),
  /** Of which it is told; all where it does not say. */
  names: names.min(1).optional(),
})

const switchesContext = z.object({
  /** One that is missing was never set: it is closed, and its installation is still to come. */
  isOn: z.partialRecord(switchName, z.boolean()),
  subscribers: z.record(z.string(), names),
})
export type SwitchesRecord = z.output<typeof switchesContext>

const events = {
  SET: z.object({ name: switchName, isOn: z.boolean() }),
  /** What was never set gets its first value: said by each node that starts. */
  INSTALL: z.object({ open: names }),
  /** The same again is told the present values again, and nothing else. */
  SUBSCRIBE: subscription,
  UNSUBSCRIBE: z.object({ address: subscription.shape.address }),
}
type SwitchesEvent =
  | ({ type: 'SET' } & z.output<typeof events.SET>)
  | ({ type: 'INSTALL' } & z.output<typeof events.INSTALL>)
  | ({ type: 'SUBSCRIBE' } & z.output<typeof events.SUBSCRIBE>)
  | ({ type: 'UNSUBSCRIBE' } & z.output<typeof events.UNSUBSCRIBE>)
  | { type: 'troupe.deadLetter'; to: string; error: { code: string } }

export type SwitchValues = Record<SwitchName, boolean>

/** What `SET` and `INSTALL` are answered. */
export interface SwitchesAnswer {
  values: SwitchValues
}

/** What subscribers are told: `{ type: 'SWITCH', name, isOn }`. */
export const switchTold = z.object({ name: switchName, isOn: z.boolean() })
export type SwitchTold = { type: 'SWITCH' } & z.output<typeof switchTold>

interface Message {
  to: string
  event: EventObject
}

const chart = setup({
  types: { context: {} as SwitchesRecord, events: {} as SwitchesEvent },
  actions: {
    answer: reply((_, { answer }: { answer: SwitchesAnswer }) => answer),
    tell: tell((_, { targets }: { targets: Message[] }) => targets),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  const next = decide(context, event)
  enqueue.assign(next)
  const targets = messagesOf(context, next, event)
  if (targets.length > 0) enqueue({ type: 'tell', params: { targets } })
  enqueue({ type: 'answer', params: { answer: { values: valuesOf(next) } } })
})

export const storageSwitches = defineMachine({
  machine: chart.createMachine({
    id: 'storage-switches',
    context: { isOn: {}, subscribers: {} },
    initial: 'open',
    states: {
      open: {
        on: {
          SET: { actions: act },
          INSTALL: { actions: act },
          SUBSCRIBE: { actions: act },
          UNSUBSCRIBE: { actions: act },
          'troupe.deadLetter': { actions: act },
        },
      },
    },
  }),
  context: switchesContext,
  events,
  index: (record) => ({ ...valuesOf(record) }),
  retention: { historyCount: HISTORY_COUNT },
})

export function valuesOf({ isOn }: Pick<SwitchesRecord, 'isOn'>): SwitchValues {
  const values = SWITCH_NAMES.map((name) => [name, isOn[name] ?? false] as const)
  return Object.fromEntries(values) as SwitchValues
}

function decide(record: SwitchesRecord, event: SwitchesEvent): SwitchesRecord {
  switch (event.type) {
    case 'SET':
      return { ...record, isOn: { ...record.isOn, [event.name]: event.isOn } }
    case 'INSTALL':
      return { ...record, isOn: { ...installed(event.open), ...record.isOn } }
    case 'SUBSCRIBE': {
      const { address, names: wanted = [...SWITCH_NAMES] } = event
      return { ...record, subscribers: { ...record.subscribers, [address]: wanted } }
    }
    case 'UNSUBSCRIBE':
      return without(record, event.address)
    case 'troupe.deadLetter':
      return GONE.has(event.error.code) ? without(record, event.to) : record
  }
}

/** Of a subscriber: it will hear nothing any more. */
const GONE: ReadonlySet<string> = new Set(['unknown-actor', 'finished'])

function installed(open: readonly SwitchName[]): SwitchValues {
  return valuesOf({ isOn: Object.fromEntries(open.map((name) => [name, true])) })
}

function without(record: SwitchesRecord, address: string): SwitchesRecord {
  const { [address]: _gone, ...subscribers } = record.subscribers
  return { ...record, subscribers }
}

function messagesOf(before: SwitchesRecord, next: SwitchesRecord, event: SwitchesEvent): Message[] {
  const values = valuesOf(next)
  const told = (to: string, name: SwitchName): Message => {
    const said: SwitchTold = { type: 'SWITCH', name, isOn: values[name] }
    return { to, event: said }
  }
  if (event.type === 'SUBSCRIBE') {
    return (next.subscribers[event.address] ?? []).map((name) => told(event.address, name))
  }
  const old = valuesOf(before)
  return Object.entries(next.subscribers).flatMap(([address, wanted]) =>
    wanted.filter((name) => values[name] !== old[name]).map((name) => told(address, name)),
  )
}
