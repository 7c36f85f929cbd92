/**
 * What an actor became is what plain XState makes of the events in its history: the same value,
 * context and end; and what its states ask for is under way: their timers, tasks and children. For
 * the drawn charts, whose events can be told from the history. What an operator changed (a state, a
 * retry, a patch) is taken as it stands, and judged from there on.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  initialTransition,
  transition,
} from 'xstate'
import { putInDocumentOrder, stateText } from '../../../src/machine/index.ts'
import type { EventObject, StateValue } from '../../../src/protocol/index.ts'
import {
  type ChartContext,
  KID_OUTPUT,
  machineOf,
  migratedBy,
  WORK_OUTPUT,
} from '../chart-actions.ts'
import { type ChartPlan, rootOf, type StatePlan } from '../charts.ts'
import type { ActorFact, HistoryEntry, SimEvent, Violation } from '../events.ts'
import { finalChains } from '../mirror.ts'

const CHECKER = 'steps-are-those-of-xstate'

export function stepsAreThoseOfXState(events: readonly SimEvent[]): Violation[] {
  const drawn = events.find((event) => event.kind === 'charts')
  if (!drawn) return []
  const references = new Map(drawn.charts.map((plan) => [plan.name, new Reference(plan)]))
  const found: Violation[] = []
  for (const [shard, chain] of finalChains(events)) {
    const lives = new Map<string, Life>()
    for (const { fact, seq } of chain) {
      if (fact.kind !== 'batch') continue
      for (const address of fact.removed) lives.delete(address)
      for (const actor of fact.actors) {
        const { address } = actor
        const [machine = '', , child] = address.split('/')
        const reference = references.get(machine)
        if (!reference || child !== undefined) continue
        const before = lives.get(address)
        const life = before?.fact.birth === actor.birth ? before : undefined
        const odd = life !== undefined && (life.odd || life.fact.version !== actor.version)
        for (const what of reference.judge(life?.fact, actor, odd)) {
          found.push({ checker: CHECKER, what: `${address}: ${what}`, seq, shard, address })
        }
        lives.set(address, { fact: actor, odd })
      }
    }
  }
  return found
}

interface Life {
  fact: ActorFact
  /** It was migrated: the timers of a state that was renamed wake nobody. */
  odd: boolean
}

/** One drawn chart in plain XState. */
class Reference {
  readonly #plan: ChartPlan
  readonly #machines: Record<1 | 2, AnyStateMachine>

  constructor(plan: ChartPlan) {
    this.#plan = plan
    this.#machines = { 1: machineOf(plan, 1), 2: machineOf(plan, 2) }
  }

  *judge(last: ActorFact | undefined, actor: ActorFact, odd: boolean): Generator<string> {
    yield* this.#steps(last, actor)
    if (actor.status === 'active' && !odd) yield* this.#underWay(actor)
  }

  *#steps(last: ActorFact | undefined, actor: ActorFact): Generator<string> {
    const machine = this.#machines[actor.version as 1 | 2]
    let snapshot = last && this.#snapshotOf(machine, last, actor.version)
    const events = eventsOf(last, actor)
    if (!events || last?.status === 'stopped') return
    for (const { entry, event } of events) {
      if (!event) continue
      snapshot =
        event.type === 'start' || !snapshot
          ? initialTransition(machine, { life: entry.commandId ?? '' } as never)[0]
          : (transition(machine, snapshot, event as never)[0] as AnyMachineSnapshot)
      putInDocumentOrder(snapshot)
      const text = stateText(snapshot.value as StateValue)
      if (text === entry.to) continue
      yield `turn ${entry.turn} (${entry.cause}) led to ${entry.to}; in XState it leads to ${text}`
      return
    }
    if (!snapshot) return
    const { value, context, status } = snapshot
    if (!isDeepStrictEqual(value, positionOf(actor))) {
      yield `it stands in ${actor.state}, in XState in ${JSON.stringify(value)}`
    }
    if (!isDeepStrictEqual(context, actor.context)) {
      yield `its context is ${JSON.stringify(actor.context)}, in XState ${JSON.stringify(context)}`
    }
    if (status !== actor.status) yield `it is ${actor.status}, in XState ${status}`
  }

  #snapshotOf(machine: AnyStateMachine, fact: ActorFact, version: number): AnyMachineSnapshot {
    let state = { value: positionOf(fact), context: fact.context as unknown as ChartContext }
    if (fact.version !== version) state = migratedBy(this.#plan, state)
    const remembered = Object.entries(fact.remembers ?? {}).map(
      ([id, ids]) => [id, nodesOf(machine, ids)] as const,
    )
    // One that remembers nothing goes to what it begins with; XState takes an empty list at its word.
    const historyValue = Object.fromEntries(remembered.filter(([, nodes]) => nodes.length > 0))
    const status = fact.status === 'done' ? 'done' : 'active'
    const snapshot = machine.resolveState({ ...state, historyValue, status } as never)
    putInDocumentOrder(snapshot as AnyMachineSnapshot)
    return snapshot as AnyMachineSnapshot
  }

  /** Each timer of a drawn chart leaves its state, and so does each result that it does not park at. */
  *#underWay(actor: ActorFact): Generator<string> {
    const { name } = this.#plan
    const wanted = wishesOf(rootOf(this.#plan, actor.version), name, positionOf(actor))
    const timers = actor.timers.filter(({ kind }) => kind === 'event').map(({ type }) => type)
    if (!isDeepStrictEqual(timers.sort(), wanted.timers.sort())) {
      yield `in ${actor.state} it has the timers [${timers}]; XState sets [${wanted.timers}]`
    }
    const children = [...actor.children].sort()
    if (!isDeepStrictEqual(children, wanted.children.sort())) {
      yield `in ${actor.state} it has the children [${children}]; XState invokes [${wanted.children}]`
    }
    // One that has ended is still a child; its result, or its failure, leaves its state or parks the actor.
    const running = children.filter((id) => id.startsWith('work_')).length
    if (actor.parked === null && actor.tasks.length !== running) {
      yield `in ${actor.state} it waits for ${running} tasks and has ${actor.tasks.length}`
    }
  }
}

function nodesOf(machine: AnyStateMachine, ids: readonly string[]): unknown[] {
  return ids.flatMap((id) => {
    try {
      return [machine.getStateNodeById(id)]
    } catch {
      // Version 2 calls it otherwise.
      return []
    }
  })
}

function positionOf({ state }: ActorFact): StateValue {
  return state.startsWith('{') ? (JSON.parse(state) as StateValue) : state
}

interface Wishes {
  timers: string[]
  children: string[]
}

function wishesOf(state: StatePlan, id: string, value: StateValue): Wishes {
  const timers = Object.keys(state.after ?? {}).map((delay) => `xstate.after.${delay}.${id}`)
  const children = state.invoke ? [state.invoke.id] : []
  const inside: Record<string, StateValue> = typeof value === 'string' ? { [value]: {} } : value
  for (const [key, below] of Object.entries(inside)) {
    const child = state.states?.[key]
    if (!child) continue
    const wishes = wishesOf(child, `${id}.${key}`, below)
    timers.push(...wishes.timers)
    children.push(...wishes.children)
  }
  return { timers, children }
}

interface ReferenceStep {
  entry: HistoryEntry
  /** Absent when the chart did not move. */
  event: EventObject | undefined
}

/** The events of the new turns; undefined when the history does not tell all of them. */
function eventsOf(last: ActorFact | undefined, actor: ActorFact): ReferenceStep[] | undefined {
  const { entries } = actor
  if (!last && entries[0]?.turn !== 1) return undefined
  const steps: ReferenceStep[] = []
  const payloads = new Payloads(actor)
  let isParked = last?.parked != null
  for (const entry of [...entries].reverse()) {
    const event = payloads.eventOf(entry)
    if (event === 'unknown') return undefined
    steps.unshift({ entry, event })
  }
  for (const { cause } of entries) {
    // One that was parked enters its states again.
    if (cause === 'resume' && isParked) return undefined
    if (cause === 'resume') isParked = false
    if (cause.startsWith('parked by ')) isParked = true
  }
  return steps
}

/** The last words of a context say whom messages came from and went to, from the newest back. */
class Payloads {
  readonly #words: string[]

  constructor({ context }: ActorFact) {
    this.#words = [...((context as unknown as ChartContext).words ?? [])]
  }

  eventOf({ cause, commandId, note }: HistoryEntry): EventObject | 'unknown' | undefined {
    if (cause === 'pause' || cause.startsWith('parked by ') || cause.startsWith('dropped ')) return
    if (cause === 'resume') return note === null ? undefined : 'unknown'
    if (cause === 'start' || cause === 'KID' || cause.startsWith('xstate.after.'))
      return { type: cause }
    if (cause === 'TOLD' || cause === 'TELL') return this.#spoken(cause)
    if (/^E\d$/.test(cause))
      return commandId === null ? 'unknown' : { type: cause, mark: commandId }
    if (cause.startsWith('xstate.error.actor.')) return { type: cause, error: {} }
    if (cause.startsWith('xstate.done.actor.')) {
      return { type: cause, output: cause.includes('.kid_') ? KID_OUTPUT : WORK_OUTPUT }
    }
    return 'unknown'
  }

  #spoken(type: string): EventObject | 'unknown' {
    for (let word = this.#words.pop(); word !== undefined; word = this.#words.pop()) {
      const [said, whom, n] = word.split(' ')
      if (said !== (type === 'TELL' ? 'to' : 'from')) continue
      return type === 'TELL' ? { type, to: whom } : { type, from: whom, n: Number(n) }
    }
    return 'unknown'
  }
}
