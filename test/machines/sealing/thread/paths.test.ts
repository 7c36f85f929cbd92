/**
 * All positions of all plans, and all that can come there: in the pure step each of them is held against
 * what has to be true of every thread. Those that show every kind of move happen in the engine as well,
 * with crashes and restarts around their last steps.
 */
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import {
  applyEvent,
  clearedBy,
  isEnd,
  PLANS,
  type PlanName,
  planOf,
  type SectorState,
  statesOf,
} from '../../../../machines/sealing/plans/index.ts'
import { phaseFor } from '../../../../machines/sealing/thread/context.ts'
import { threadContext } from '../../../../machines/sealing/thread/context-schema.ts'
import type { ThreadContext } from '../../../../machines/sealing/thread/index.ts'
import type { Harness } from '../../../shard/harness.ts'
import { get, open, restart, send, start, worker } from '../../../shard/support.ts'
import { type Edge, explore, exploredInput, keyOf, type Move, STARTED } from './explore.ts'
import { MACHINES, THREAD } from './rig.ts'

const eventsAt = (plan: PlanName) => (state: string) =>
  isEnd(state as SectorState)
    ? ['Ended']
    : Object.keys(planOf(plan).states[state as SectorState]?.on ?? {})

const WORK: Record<string, unknown> = { queued: { step: 'queued' }, running: { step: 'running' } }
const TASKS: Record<string, string> = { queued: 'step', running: 'step', archive: 'record' }
const AT_WORK = ['running', 'archive']

/** Whatever came, the chart stands where the context says, and only what is wanted is asked for. */
function* whyUnsound({ from, to, effects }: Edge): Iterable<string> {
  const { plan, state, phase } = to.context
  const value = { plan: { [plan]: state }, work: WORK[phase] ?? phase }
  if (!isDeepStrictEqual(to.value, value)) yield `stands at ${JSON.stringify(to.value)}`
  // Work goes on, whatever is asked meanwhile.
  if (!AT_WORK.includes(phase) && phaseFor(to.context) !== phase) yield `is not in ${phase}`
  const begun = effects.flatMap((effect) => (effect.kind === 'task' ? [effect.childId] : []))
  if (begun.length > 1) yield `begins ${begun.join(' and ')}`
  const keeps = TASKS[phase] === TASKS[from.context.phase]
  if (begun.length > 0 ? begun[0] !== TASKS[phase] : TASKS[phase] !== undefined && !keeps)
    yield `begins ${begun[0]} in ${phase}`
  const timers = effects.filter((effect) => effect.kind === 'timer').length
  const isSet = isWaiting(phase) && moved(from.context, to.context)
  if (timers !== (isSet ? 1 : 0)) yield `sets ${timers} timers`
}

const isWaiting = (phase: string) => phase === 'rest' || phase === 'retry'
const moved = (from: ThreadContext, to: ThreadContext) =>
  from.phase !== to.phase || from.wait !== to.wait

/** A finished step is never lost, and nothing that a sector has is. */
function* whatIsLost({ from, to, move }: Edge): Iterable<string> {
  const { plan, state, record, phase, pausing, totals } = from.context
  const next = applyEvent(plan, state, move.name)
  if (phase === 'running' && next !== undefined) {
    if (to.context.state !== next) yield `is in ${to.context.state} behind ${move.name}`
    if ((to.context.paused !== null) !== (pausing !== null)) yield 'forgets or makes up a pause'
  }
  if (to.context.totals !== totals) return
  const gone = Object.keys(record).filter((key) => !Object.hasOwn(to.context.record, key))
  const cleared: readonly string[] = clearedBy(plan, move.name)
  if (gone.some((key) => !cleared.includes(key))) yield `has lost ${gone.join(', ')}`
}

/** What was refused has changed nothing. */
function* whyUnanswered({ from, to, effects, move }: Edge): Iterable<string> {
  if (move.by !== 'caller') return
  const [answer, ...more] = effects.filter((effect) => effect.kind === 'reply')
  if (answer === undefined || more.length > 0) return yield 'is not answered once'
  if (!('refused' in (answer.value as object))) return
  const { at } = to.context
  if (!isDeepStrictEqual(to.context, { ...from.context, at })) yield 'is refused and changes'
  if (effects.length > 1) yield 'is refused and does something'
}

describe.each(PLANS)('%s', (plan) => {
  const edges = explore(plan, eventsAt(plan))

  it('reaches every state, in every phase that it has', () => {
    const seen = new Set(edges.map(({ to: { context } }) => `${context.state} ${context.phase}`))
    for (const state of statesOf(plan)) {
      const phases = ['queued', 'running', 'rest', 'retry', 'parked', 'paused']
      for (const phase of phases) expect(seen).toContain(`${state} ${phase}`)
    }
    expect(seen).toContain('Empty drained')
    expect(seen).toContain('Finished archive')
  })

  it('is sound, keeps what there is, and answers, whatever comes where', () => {
    const flaws = edges.flatMap((edge) =>
      [...whyUnsound(edge), ...whatIsLost(edge), ...whyUnanswered(edge)].map(
        (flaw) => `${edge.from.key} ${edge.move.name}: ${flaw}`,
      ),
    )
    expect(flaws).toEqual([])
  })
})

/** All that is different is checked once: most positions share their settings and their record. */
it('what a thread remembers is what a patch of it has to be', () => {
  const edges = explore('sealer', eventsAt('sealer'))
  const positions = new Map(edges.map(({ to }) => [to.key, to.context]))
  for (const [key, context] of positions) {
    expect(threadContext.safeParse(context).error?.message, key).toBeUndefined()
  }
})

class Walk {
  #h: Harness
  #token = ''

  constructor() {
    this.#h = open(MACHINES, { shardCount: 1 })
  }

  async run(plan: PlanName, moves: readonly Move[], key: string): Promise<void> {
    await start(this.#h, THREAD, exploredInput(plan))
    for (const [at, move] of moves.entries()) {
      // What stands before these, others have at their end.
      if (at >= moves.length - 2) this.#h = restart(this.#h, MACHINES)
      await this.#bring(move)
    }
    const view = await get(this.#h, THREAD)
    expect([view.parked, keyOf(view.context as ThreadContext)]).toEqual([undefined, key])
    expect(this.#h.stops).toEqual([])
  }

  async #bring({ event, by }: Move): Promise<void> {
    const { type, ...fields } = event
    if (by === 'caller') await send(this.#h, THREAD, type, fields)
    else if (by === 'worker') await this.#work(type, fields)
    else {
      const [due] = (await get(this.#h, THREAD)).timers
      await this.#h.advance(due!.dueAt - this.#h.clock.now())
    }
  }

  async #work(type: string, fields: Record<string, unknown>): Promise<void> {
    const hand = worker(this.#h)
    const { actorId, output, error } = fields
    const { taskId } = (await get(this.#h, THREAD)).tasks[0]!
    if (type === STARTED || actorId === 'record') {
      this.#token = (await this.#h.run(hand.start(taskId))).token
    }
    if (type === STARTED) return
    if (error === undefined) await this.#h.run(hand.done(taskId, this.#token, output))
    else {
      const failed = { op: 'task.failed', taskId, token: this.#token, failure: error }
      await this.#h.run(this.#h.client.execute(THREAD, failed as never))
    }
  }
}

/** One way to each kind of move: from what phase, by what, to what phase. The longest ones say the most. */
function shown(edges: readonly Edge[]): Edge[] {
  const kinds = new Map<string, Edge>()
  for (const edge of edges) {
    const { from, move, to } = edge
    const isChange = from.key !== to.key
    const name = `${from.context.phase} ${move.name} ${to.context.phase}`
    if (isChange && !kinds.has(name)) kinds.set(name, edge)
  }
  const ways = [...kinds.values()]
  const texts = ways.map(({ to }) => to.way.map(({ name }) => name).join(','))
  return ways.filter((_, at) => !texts.some((text) => text.startsWith(`${texts[at]},`)))
}

describe('in the engine', () => {
  const ways = shown(explore('wdpost', eventsAt('wdpost')))

  it('there are ways enough', () => {
    expect(ways.length).toBeGreaterThan(30)
  })

  it.each(ways.map(({ to }) => [to.way.map(({ name }) => name).join(', '), to] as const))(
    '%s',
    (_name, { way, key }) => new Walk().run('wdpost', way, key),
  )
})
