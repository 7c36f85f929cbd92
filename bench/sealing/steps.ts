/**
 * What a step costs: the time from one committed transition of a sector to the next, by a watch, beside
 * round trips to the same child by bare pipes in the same round; then CPU with many threads. Decides: what
 * belongs to a step, and what of it is the runtime's: all but the step's own work, which is its child and the
 * files of its sector that it removes, makes and flushes. The change from one sector to the next is no step.
 */
import { join } from 'node:path'
import {
  CpuProfile,
  cpuOfThreads,
  type Frame,
  type ProfileShare,
  sharesOf,
} from '../cpu-profile.ts'
import { closedLoop, quantile } from '../measure.ts'
import { BareChild, flushedWrites } from './bare-child.ts'
import { IDLE_PROCESSOR, WorkerRig } from './worker-rig.ts'

const ROUNDS = 5
const SHOWN_FROM_US = 20
/** 1,500 steps before rounds of 3 s. */
const WARM_STEPS_PER_MS = 0.5
/** The states whose step has a child work. */
const WITH_CHILD = new Set([
  ...['DealsAcquired', 'PieceAdded', 'TicketAssigned', 'PC1Done'],
  ...['PCLanded', 'SeedAssigned', 'C1Done'],
])

export interface StepsParams {
  data: string
  roundMs: number
  threads: number
}

export interface Times {
  p50Ms: number
  p99Ms: number
  count: number
}

export interface StepRound {
  bare: Times
  /** The same child through the worker's own processors. */
  inner: Times
  flush: Times
  /** Steps that have a child work, and the others. */
  child: Times
  other: Times
  /** The same without the work of the step itself. */
  childRuntime: Times
  otherRuntime: Times
  steps: number
  perSecond: number
  /** Durable turns of the thread's actor for one step. */
  turnsPerStep: number
  /** µs of CPU per step: the main thread, and the others of the process. */
  mainUs: number
  otherUs: number
}

export interface StepsResult {
  rounds: StepRound[]
  /** By sector state, p50 in ms. */
  states: {
    state: string
    p50Ms: number
    ownMs: number
    count: number
    spans: Record<Span, number>
  }[]
  /** µs of the main thread per step. */
  parts: ProfileShare[]
  functions: ProfileShare[]
}

export async function sealingSteps({ data, roundMs, threads }: StepsParams): Promise<StepsResult> {
  const rig = await WorkerRig.open(join(data, 'worker'), threads)
  const watch = new StepWatch(rig)
  const bare = await BareChild.start(IDLE_PROCESSOR, 'pc1')
  await warmUp(rig, watch, roundMs)
  await closedLoop(1, roundMs / 4, () => bare.roundTrip())
  const result: StepsResult = { rounds: [], states: [], parts: [], functions: [] }
  const all: Step[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const limits = await measureLimits(rig, bare, data, roundMs / 4)
    const { steps, measured } = await measureSteps(rig, watch, roundMs)
    result.rounds.push({ ...limits, ...measured })
    all.push(...steps)
  }
  result.states = byState(all)
  await profileSteps(rig, watch, roundMs, result)
  await bare.stop()
  watch.stop()
  await rig.close()
  return result
}

/** Until the code is compiled as well as it will be. */
async function warmUp(rig: WorkerRig, watch: StepWatch, roundMs: number): Promise<void> {
  const count = roundMs * WARM_STEPS_PER_MS
  for (let done = 0; done < count; done += watch.take().ended) await rig.seal(roundMs)
}

async function measureLimits(rig: WorkerRig, bare: BareChild, data: string, durationMs: number) {
  const task = { ticket: Array<number>(32).fill(7) }
  return {
    bare: await timed(durationMs, () => bare.roundTrip()),
    inner: await timed(durationMs, () => rig.work.processors.run('pc1', task, { key: 'bench' })),
    flush: timesOf(flushedWrites(join(data, 'page'), durationMs)),
  }
}

async function timed(durationMs: number, call: () => Promise<unknown>): Promise<Times> {
  const times: number[] = []
  await closedLoop(1, durationMs, async () => {
    const at = performance.now()
    await call()
    times.push(performance.now() - at)
  })
  return timesOf(times)
}

function timesOf(times: readonly number[]): Times {
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), count: times.length }
}

async function measureSteps(rig: WorkerRig, watch: StepWatch, roundMs: number) {
  watch.take()
  const before = cpuOfThreads()
  const startedAt = performance.now()
  await rig.seal(roundMs)
  const elapsedMs = performance.now() - startedAt
  const after = cpuOfThreads()
  const { steps, ended, turns } = watch.take()
  const times = (isChild: boolean, of: (step: Step) => number) =>
    timesOf(steps.filter(({ state }) => WITH_CHILD.has(state) === isChild).map(of))
  const whole = ({ ms }: Step) => ms
  const runtime = ({ ms, ownMs }: Step) => ms - ownMs
  const measured = {
    child: times(true, whole),
    other: times(false, whole),
    childRuntime: times(true, runtime),
    otherRuntime: times(false, runtime),
    steps: ended,
    perSecond: (ended / elapsedMs) * 1_000,
    turnsPerStep: turns / ended,
    mainUs: (after.mainUs - before.mainUs) / ended,
    otherUs: (after.otherUs - before.otherUs) / ended,
  }
  return { steps, measured }
}

function byState(steps: readonly Step[]): StepsResult['states'] {
  const states = [...new Set(steps.map(({ state }) => state))]
  const rows = states.map((name) => {
    const all = steps.filter(({ state }) => state === name)
    const p50 = (of: (step: Step) => number) => quantile(all.map(of), 0.5)
    const spans = SPANS.map((span) => [span, p50((step) => step.spans[span] ?? 0)])
    return {
      ...{ state: name, p50Ms: p50(({ ms }) => ms), ownMs: p50(({ ownMs }) => ownMs) },
      count: all.length,
      spans: Object.fromEntries(spans) as Record<Span, number>,
    }
  })
  return rows.sort((a, b) => b.p50Ms - a.p50Ms)
}

async function profileSteps(
  rig: WorkerRig,
  watch: StepWatch,
  roundMs: number,
  result: StepsResult,
): Promise<void> {
  const profile = new CpuProfile()
  watch.take()
  await profile.start()
  await rig.seal(roundMs)
  const taken = await profile.stop()
  const { ended } = watch.take()
  const { parts, functions } = sharesOf(taken, roomOf)
  const perStep = (shares: ProfileShare[]) =>
    shares
      .map(({ name, amount }) => ({ name, amount: amount / ended }))
      .filter(({ amount }) => amount >= SHOWN_FROM_US)
  result.parts = perStep(parts)
  result.functions = perStep(functions)
}

/** The room of this family, or the part of the platform; libraries count for whoever called them. */
function roomOf({ path, functionName }: Frame): string | undefined {
  if (path === '' && functionName.startsWith('(')) return functionName
  const room = /^machines\/(?:sealing\/[^/]+|platform)/.exec(path)?.[0]
  return room ?? /^(?:src|machines|bench)\/[^/]+/.exec(path)?.[0]
}

/** The parts of a step, as the turns of its thread divide it. */
export const SPANS = ['place', 'start', 'work'] as const
type Span = (typeof SPANS)[number]
/** The turns that end a part. */
const ENDED_BY: Readonly<Record<string, Span>> = {
  GRANTED: 'place',
  'troupe.started.actor.step': 'start',
  'xstate.done.actor.step': 'work',
}

interface Step {
  state: string
  ms: number
  /** Of its own work; with several threads that of the last one that was heard of in its state. */
  ownMs: number
  spans: Partial<Record<Span, number>>
}

/** Hears of every turn of the threads. */
class StepWatch {
  readonly #stop = new AbortController()
  /** What is known of the present step of an actor; its first begins with its first sector. */
  readonly #present = new Map<string, { at: number; spanAt: number; spans: Step['spans'] }>()
  readonly #ownMs = new Map<string, number>()
  #steps: Step[] = []
  #ended = 0
  #turns = 0

  constructor(rig: WorkerRig) {
    rig.hearWork((state, workMs) => this.#ownMs.set(state, workMs))
    void this.#listen(rig.client.watch({ machine: 'sealing-thread' }, this.#stop.signal))
  }

  /** What was heard since. */
  take(): { steps: Step[]; ended: number; turns: number } {
    const taken = { steps: this.#steps, ended: this.#ended, turns: this.#turns }
    this.#steps = []
    this.#ended = 0
    this.#turns = 0
    return taken
  }

  stop(): void {
    this.#stop.abort()
  }

  async #listen(events: ReturnType<WorkerRig['client']['watch']>): Promise<void> {
    for await (const event of events) {
      if (event.kind !== 'transition') continue
      this.#turns += 1
      const span = ENDED_BY[event.cause]
      if (span !== undefined) this.#heard(event.address, span, stateIn(event.from))
    }
  }

  #heard(address: string, span: Span, state: string): void {
    const now = performance.now()
    const present = this.#present.get(address)
    if (present !== undefined) {
      present.spans[span] = now - present.spanAt
      present.spanAt = now
    }
    if (span !== 'work') return
    this.#present.set(address, { at: now, spanAt: now, spans: {} })
    this.#ended += 1
    // Before the first state a thread waits for a sector.
    if (present === undefined || state === 'Empty') return
    const { at, spans } = present
    this.#steps.push({ state, ms: now - at, ownMs: this.#ownMs.get(state) ?? 0, spans })
  }
}

/** `plan.sealer.PC1Done|work.step.running` */
function stateIn(text: string | null): string {
  return /\bplan\.\w+\.(\w+)/.exec(text ?? '')?.[1] ?? ''
}
