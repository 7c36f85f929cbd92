/**
 * The machine `sealing-thread`: one store of one worker, and the sector that is worked on there.
 *
 * Decides: the chart. One region is where the sector stands: the plans, with their states and events, made
 * from the tables of `plans/`. The other is what is being done about it, the same for every state. Leaves
 * to others: what follows from an event (`outcomes.ts`, `control.ts`), which are pure; the context says
 * where the work goes on (`phaseFor`), and SETTLE leads there.
 */
import { assign, cancel, raise, setup } from 'xstate'
import { addressOf, defineMachine, type EventObject, reply, tell } from '../../../src/index.ts'
import { sealingRecord } from '../history/index.ts'
import {
  PLANS,
  type PlanName,
  planOf,
  type SectorState,
  stageOf,
  statesOf,
} from '../plans/index.ts'
import type { Answer, Change, InternalType } from './changes.ts'
import {
  conditionOf,
  gateHere,
  initialContext,
  type Phase,
  type Place,
  phaseFor,
  stepInputOf,
  type ThreadContext,
  timeOf,
  workName,
} from './context.ts'
import { threadContext } from './context-schema.ts'
import { abort, configure, drain, pause, resume, undrain, wake } from './control.ts'
import { INTERNAL, type ThreadEvent, threadEvents } from './events.ts'
import {
  archived,
  chapterOf,
  entered,
  noPlace,
  recordFailed,
  stepEnded,
  stepFailed,
  waitOver,
} from './outcomes.ts'
import { type ThreadInput, threadInput } from './settings.ts'
import { sealingStep } from './step-task.ts'

export const SEALING_THREAD = 'sealing-thread'

/** A pool that was made anew knows nobody who waits. Whoever asks again keeps his turn. */
const ASK_AGAIN_MS = 10 * 60_000
const ASK_AGAIN = 'ask-again'
/** Turns of the actor; its sectors have histories of their own. */
const TURNS_KEPT = 100

const STARTED = 'troupe.started.actor.step'

/** What is told to a pool; the holder is always the thread itself. */
interface PoolMail {
  pool: string
  events: EventObject[]
}

const chart = setup({
  types: {
    context: {} as ThreadContext,
    events: {} as ThreadEvent,
    input: {} as ThreadInput,
  },
  actors: { step: sealingStep, record: sealingRecord },
  delays: { wait: ({ context }) => context.wait?.waitMs ?? 0 },
  guards: {
    goesTo: ({ context }, { phase }: { phase: Phase }) => phaseFor(context) === phase,
    isOurs: ({ context, event }) => event.type === 'GRANTED' && isAnswer(context, event.ref),
    isPlan: ({ context }, { plan }: { plan: PlanName }) => context.plan === plan,
  },
  actions: {
    answer: reply((_, { answer }: { answer: Answer }) => answer),
    tellPool: tell(({ self }, { pool, events }: PoolMail) =>
      events.map((event) => ({ to: pool, event: { ...event, holder: addressOf(self) } })),
    ),
    settle: raise({ type: 'SETTLE' }),
    enter: assign(({ context }, { plan, state }: { plan: PlanName; state: SectorState }) =>
      entered(context, plan, state),
    ),
    /** Only what runs has a runner. */
    phase: assign((_, { phase }: { phase: Phase }) => ({ phase, runner: null })),
    begun: assign(({ context, event }) => ({
      phase: 'running' as const,
      ...(event.type === STARTED ? { runner: event.worker, at: timeOf(context, event.at) } : {}),
    })),
  },
})

/** Does what an event makes of the thread. */
const doing = (decision: (context: ThreadContext, event: ThreadEvent) => Change) =>
  chart.enqueueActions(({ context, event, enqueue }) => {
    const { set, raise: type, answer } = decision(context, event)
    enqueue.assign(set)
    if (type !== undefined) enqueue.raise({ type })
    if (answer !== undefined) enqueue({ type: 'answer', params: { answer } })
  })

const act = doing(decide)
const goOn = doing(waitOver)
const beginNext = doing(archived)
const writeAgain = doing((context, event) =>
  event.type === 'xstate.error.actor.record' ? recordFailed(context, event.error) : { set: {} },
)

/** In `onDone` and `onError` the ends of tasks have other types than among the events of the machine. */
function atEnd(action: typeof act): never {
  return action as never
}

function decide(context: ThreadContext, event: ThreadEvent): Change {
  switch (event.type) {
    case 'PAUSE':
      return pause(context, event)
    case 'RESUME':
      return resume(context, event)
    case 'DRAIN':
      return drain(context)
    case 'UNDRAIN':
      return undrain(context)
    case 'WAKE':
      return wake(context)
    case 'ABORT':
      return abort(context, event)
    case 'CONFIGURE':
      return configure(context, event)
    case 'xstate.done.actor.step':
      return stepEnded(context, event.output)
    case 'xstate.error.actor.step':
      return stepFailed(context, event.error)
    default:
      return fromPool(context, event)
  }
}

/** That there is no place. */
function fromPool(context: ThreadContext, event: ThreadEvent): Change {
  switch (event.type) {
    case 'REFUSED':
      return isAnswer(context, event.ref)
        ? noPlace(context, `${event.pool}: ${event.message}`)
        : { set: {} }
    case 'EXPIRED':
      return isAnswer(context, event.ref)
        ? noPlace(context, `${event.pool}: ${event.reason}`)
        : { set: {} }
    case 'troupe.deadLetter':
      return isAnswer(context, event.event.ref)
        ? noPlace(context, `there is no ${event.to} to ask for a place`)
        : { set: {} }
    default:
      return { set: {} }
  }
}

/** An answer to an earlier request says nothing of this one. */
function isAnswer({ asked }: ThreadContext, ref: unknown): boolean {
  return ref === String(asked)
}

/** The place of the step before goes back with the request, in one turn of the pool that both are of. */
const askPool = chart.enqueueActions(({ context, enqueue }) => {
  const gate = gateHere(context)
  if (gate === null) return
  const { place } = context
  const { pool, choice } = gate
  const asked = context.asked + 1
  enqueue.assign({ place: null, asked, askedOf: pool })
  const isThere = place?.pool === pool
  if (place !== null && !isThere) enqueue({ type: 'tellPool', params: releaseOf(place) })
  const instead = isThere ? { instead: place.token } : {}
  const events = [{ type: 'ACQUIRE', choice, ref: String(asked), ...instead }]
  enqueue({ type: 'tellPool', params: { pool, events } })
  enqueue.raise({ type: 'ASK_AGAIN' }, { id: ASK_AGAIN, delay: ASK_AGAIN_MS })
})

/** With the place that was granted; else with none, whatever is on its way. */
const leaveGate = chart.enqueueActions(({ context, event, enqueue }) => {
  enqueue(cancel(ASK_AGAIN))
  if (event.type === 'GRANTED') {
    const { pool, token, names } = event
    enqueue.assign({ askedOf: null, place: { pool, token, names } })
    return
  }
  const { askedOf: pool } = context
  enqueue.assign({ askedOf: null })
  if (pool === null) return
  const events = [{ type: 'CANCEL' }, { type: 'RELEASE' }]
  enqueue({ type: 'tellPool', params: { pool, events } })
})

/** Unless the gate comes next, which does it with its request. */
const giveBack = chart.enqueueActions(({ context, event, enqueue }) => {
  const { place } = context
  // By another event an operator moves the thread, wherever it would go by itself.
  if (place === null || (event.type === 'SETTLE' && phaseFor(context) === 'gate')) return
  enqueue.assign({ place: null })
  enqueue({ type: 'tellPool', params: releaseOf(place) })
})

function releaseOf({ pool, token }: Place): PoolMail {
  return { pool, events: [{ type: 'RELEASE', token }] }
}

const inPhase = (phase: Phase) => ({ type: 'phase', params: { phase } }) as const
const goesTo = (phase: Phase) => ({ type: 'goesTo', params: { phase } }) as const

/** A plan as its table has it: by hand any of its states, by its events what they lead to. */
function planStates(plan: PlanName) {
  const states = statesOf(plan)
  const byHand = states
    .filter((state) => state !== 'Empty')
    .map((state) => [`SetState.${state}`, `.${state}`] as const)
  return {
    initial: 'Empty',
    on: {
      ...Object.fromEntries(byHand),
      ...(states.includes('Aborted') ? { Abort: '.Aborted' } : {}),
    },
    states: Object.fromEntries(
      Object.entries(planOf(plan).states).map(([state, { on }]) => [
        state,
        {
          entry: [{ type: 'enter', params: { plan, state: state as SectorState } }, 'settle'],
          on: on as Partial<Record<InternalType, string>>,
        } as const,
      ]),
    ),
  }
}

const machine = chart.createMachine({
  id: SEALING_THREAD,
  context: ({ input }) => initialContext(input),
  type: 'parallel',
  states: {
    plan: {
      initial: 'begin',
      on: { NextSector: '.begin' },
      states: {
        begin: {
          always: PLANS.map((plan) => ({
            guard: { type: 'isPlan', params: { plan } } as const,
            target: plan,
          })),
        },
        ...Object.fromEntries(PLANS.map((plan) => [plan, planStates(plan)])),
      },
    },
    work: {
      initial: 'begin',
      on: {
        SETTLE: [
          { guard: goesTo('drained'), target: '.drained' },
          { guard: goesTo('paused'), target: '.paused' },
          { guard: goesTo('parked'), target: '.parked' },
          { guard: goesTo('rest'), target: '.rest' },
          { guard: goesTo('retry'), target: '.retry' },
          { guard: goesTo('archive'), target: '.archive' },
          { guard: goesTo('gate'), target: '.gate' },
          { target: '.step' },
        ],
        ...Object.fromEntries(
          (['PAUSE', 'RESUME', 'DRAIN', 'UNDRAIN', 'WAKE', 'ABORT', 'CONFIGURE'] as const).map(
            (type) => [type, { actions: act }],
          ),
        ),
      },
      states: {
        /** Until the sector's region has begun. */
        begin: {},
        gate: {
          entry: [inPhase('gate'), askPool],
          exit: leaveGate,
          on: {
            // Also an earlier one is taken: what nobody takes, the pool gives to the next.
            GRANTED: [{ guard: 'isOurs', target: 'step' }, { actions: act }],
            EXPIRED: { actions: act },
            REFUSED: { actions: act },
            'troupe.deadLetter': { actions: act },
            ASK_AGAIN: { actions: askPool },
          },
        },
        step: {
          entry: inPhase('queued'),
          exit: giveBack,
          invoke: {
            id: 'step',
            src: 'step',
            input: ({ context }) => stepInputOf(context),
            onDone: { actions: atEnd(act) },
            onError: { actions: atEnd(act) },
          },
          on: { [STARTED]: '.running' },
          initial: 'queued',
          states: { queued: {}, running: { entry: 'begun' } },
        },
        rest: {
          entry: inPhase('rest'),
          after: { wait: { actions: goOn } },
        },
        retry: {
          entry: inPhase('retry'),
          after: { wait: { actions: goOn } },
        },
        archive: {
          entry: inPhase('archive'),
          invoke: {
            id: 'record',
            src: 'record',
            input: ({ context }) => chapterOf(context),
            onDone: { actions: atEnd(beginNext) },
            onError: { actions: atEnd(writeAgain) },
          },
        },
        parked: { entry: inPhase('parked') },
        paused: { entry: inPhase('paused') },
        drained: { entry: inPhase('drained') },
      },
    },
  },
})

export const sealingThread = defineMachine({
  machine,
  input: threadInput,
  context: threadContext,
  internal: INTERNAL,
  events: threadEvents,
  index: (context) => {
    const { worker, index, plan, state, phase, record, lastError } = context
    return {
      ...{ worker, index, plan, state },
      stage: stageOf(plan, state) ?? undefined,
      condition: conditionOf(context),
      sector: workName(record) ?? undefined,
      paused: phase === 'paused' || phase === 'parked',
      errors: lastError !== null,
      draining: !context.takesNew,
    }
  },
  retention: { historyCount: TURNS_KEPT },
})
