/**
 * What registered machines would make of a stored actor, without changing it. Decides: the outcomes;
 * the actor is read as the engine reads it (heads.ts), and taken up by XState as for its next step.
 */
import { stateText } from '../machine/index.ts'
import {
  type ActorStatus,
  type AddressText,
  clipText,
  machineOf,
  messageOfThrown,
  pack,
  type StateValue,
} from '../protocol/index.ts'
import { type Machines, makeHead, snapshotOf, standsForVersion } from './heads.ts'
import { decodeActor, encodeActor, type Head, NO_INDEX, UnknownFormError } from './records.ts'

/**
 * `goes-on`: it was parked for its version, and can be read again. `parks`: it would be parked.
 * `newer`: of a version that these machines do not know yet. `finished`: it does not go on anyhow.
 */
export type RollOutOutcome =
  | 'stays'
  | 'migrates'
  | 'goes-on'
  | 'finished'
  | 'parks'
  | 'newer'
  | 'unreadable'

export interface RollOutVerdict {
  outcome: RollOutOutcome
  machine: string
  /** Of the actor; 0 when it cannot be read. */
  version: number
  /** Where it stands. */
  state: string
  /** Where a migration leads, when that is another state. */
  to?: string
  why?: string
}

/** Undefined when no machine of its name is registered: such actors are left alone. */
export function judgeRollOut(
  machines: Machines,
  address: AddressText,
  bytes: Uint8Array,
): RollOutVerdict | undefined {
  const machine = machineOf(address)
  const hosted = machines.get(machine)
  if (!hosted) return undefined
  try {
    const { record, stored } = decodeActor(bytes)
    const state = stateText(stored.value)
    const head = makeHead(address, hosted, bytes)
    const verdict = { machine: head.kindName, version: record.version, state }
    const why = whyNot(head)
    if (head.status !== 'active') return { ...verdict, outcome: 'finished' }
    if (why !== undefined) return { ...verdict, outcome: head.newer ? 'newer' : 'parks', why }
    const to = head.stateText === state ? {} : { to: head.stateText }
    const stood = standsForVersion({ ...head, parked: record.parked })
    if (stood) return { ...verdict, ...to, outcome: 'goes-on' }
    return { ...verdict, ...to, outcome: head.version === record.version ? 'stays' : 'migrates' }
  } catch (thrown) {
    const isNewer = thrown instanceof UnknownFormError
    const why = isNewer ? thrown.message : `its record is damaged: ${messageOfThrown(thrown)}`
    return { machine, version: 0, state: '', outcome: isNewer ? 'newer' : 'unreadable', why }
  }
}

function whyNot(head: Head): string | undefined {
  if (head.unreadable !== null) return head.unreadable
  if (head.logic.kind !== 'chart') return undefined
  try {
    snapshotOf(head, head.logic.chart)
    return undefined
  } catch (thrown) {
    return `XState cannot take it up: ${clipText(messageOfThrown(thrown))}`
  }
}

/** What a view tells of a root actor. */
export interface ViewedActor {
  version: number
  status: ActorStatus
  value: StateValue
  context: unknown
}

/** As if it were stored so. What no view tells (timers, tasks, the hash of its chart) is left out. */
export function storedAsViewed({ version, status, value, context }: ViewedActor): Uint8Array {
  return encodeActor(
    {
      ...{ version, chartHash: '', birth: '', turn: 1, operations: 0 },
      ...{ createdAt: 0, updatedAt: 0, since: 0, status, paused: null, parked: null },
      ...{ keptFrom: 0, keptTo: 0, timers: [], tasks: [], children: [], sources: [] },
      ...{ recent: pack(null), recentFrom: 1, index: NO_INDEX },
    },
    {
      ...{ value, context, historyValue: null, output: undefined },
      status: status === 'done' ? 'done' : 'active',
    },
  )
}
