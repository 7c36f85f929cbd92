/**
 * A machine that does everything that makes a batch large, and a random mix of that. Decides: what is
 * asked for. Leaves to others: where the engine runs, and what is measured (batch-size.test.ts).
 */
import { enqueueActions, raise } from 'xstate'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import type { Client } from '../../src/client/index.ts'
import { reply, tell } from '../../src/machine/index.ts'
import { type Args, change, chart, host, job } from './support.ts'

type Bulky = Args & { event: { count: number } }

const text = ({ event }: Bulky) => 'x'.repeat(event.by)
const grow = change((args) => ({ blob: text(args as Bulky) }))

const kid = chart(
  'kid',
  {
    initial: 'a',
    entry: 'fill',
    states: { a: { on: { GROW: { actions: 'grow' }, END: 'b' } }, b: { type: 'final' } },
  },
  {
    actions: {
      grow,
      fill: change((({ event }: { event: { input?: { by: number } } }) => ({
        blob: 'x'.repeat(event.input?.by ?? 0),
      })) as never),
    },
  },
)

type Enqueue = ((action: never) => void) & {
  spawnChild: (src: never, options: never) => void
  sendTo: (target: never, event: never) => void
}

const many = (each: (args: Bulky & { enqueue: Enqueue }, n: number) => void) =>
  enqueueActions(((args: Bulky & { enqueue: Enqueue }) => {
    for (let n = 0; n < args.event.count; n++) each(args, n)
  }) as never)

export const bulk = host(
  'bulk',
  {
    on: {
      GROW: { actions: 'grow' },
      NOTE: { actions: 'note' },
      TELL: { actions: 'tell' },
      REPLY: { actions: 'reply' },
      TASKS: { actions: 'tasks' },
      KIDS: { actions: 'kids' },
      TO_KIDS: { actions: 'toKids' },
      TIMERS: { actions: 'timers' },
      BREAK: { actions: 'break' },
      AGAIN: { target: '.on', reenter: true },
      'xstate.done.actor.*': { actions: 'grow' },
      'troupe.deadLetter': { actions: 'note' },
    },
    initial: 'on',
    states: { on: { invoke: { src: 'kid', id: 'own', input: { by: 30_000 } } } },
  },
  {
    actors: { kid, work: job('work') },
    actions: {
      grow,
      note: change(({ context }) => ({ n: context.n + 1 })),
      tell: many((args, n) => {
        const { to } = args.event
        const event = { type: n % 3 === 2 ? 'BREAK' : 'NOTE', text: text(args) }
        args.enqueue(tell({ to, event }) as never)
      }),
      reply: reply(((args: Bulky) => text(args)) as never),
      tasks: many((args, n) => {
        const id = `${args.context.n}.${n}`
        args.enqueue.spawnChild('work' as never, { id, input: text(args) } as never)
      }),
      kids: many((args, n) => {
        const id = `k${args.context.n}.${n}`
        const options = { id, input: { by: args.event.by }, syncSnapshot: n % 2 === 0 }
        args.enqueue.spawnChild('kid' as never, options as never)
      }),
      toKids: many((args) => {
        args.enqueue.sendTo('own' as never, { type: 'GROW', by: args.event.by } as never)
      }),
      timers: many((args, n) => {
        const event = { type: 'NOTE', text: text(args) }
        args.enqueue(raise(event, { id: `t${n}`, delay: 50 }) as never)
      }),
      break: change(() => {
        throw new Error('broken')
      }),
    },
  },
  { index: (context: unknown) => ({ n: (context as { n: number }).n }) } as never,
)

/** What a mix needs of the place where it happens. */
export interface Place {
  client: Client
  run: <T>(work: Promise<T>) => Promise<T>
  advance: (ms: number) => Promise<void>
}

const SIZES = [10, 2_000, 30_000, 150_000, 300_000, 500_000, 523_000]
const COUNTS = [1, 2, 5, 300]
const ACTORS = 5

/** Rounds of commands that arrive together. Most are refused sooner or later: that is the point. */
export async function mix(place: Place, seed: number, rounds: number): Promise<Set<string>> {
  const random = new SeededRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.fraction() * list.length)]!
  const told = new Set<string>()
  for (let round = 0; round < rounds; round++) {
    const together = Array.from({ length: 1 + Math.floor(random.fraction() * 12) }, () =>
      one(place.client, pick).then(
        () => told.add('ok'),
        (thrown: { code?: string }) => told.add(thrown.code ?? String(thrown)),
      ),
    )
    await place.run(Promise.all(together))
    await place.advance(pick([0, 0, 60, 1_000, 61_000]))
  }
  return told
}

async function one(client: Client, pick: <T>(list: readonly T[]) => T): Promise<unknown> {
  const address = `bulk/${pick(Array.from({ length: ACTORS }, (_, n) => n))}`
  const to = `bulk/${pick(Array.from({ length: ACTORS }, (_, n) => n))}`
  const by = pick(SIZES)
  const event = (type: string) => {
    const count = pick(COUNTS.filter((few) => few * by <= 2_000_000))
    return client.send(address, { type, to, by, count })
  }
  switch (pick(OPERATIONS)) {
    case 'start':
      return client.start(address)
    case 'pause':
      return client.pause(address, {
        timers: pick(['run', 'freeze']),
        interrupt: pick([true, false]),
      })
    case 'resume':
      return client.resume(address, { retry: pick([true, false]) })
    case 'patch':
      return client.patch(address, { blob: 'x'.repeat(by) })
    case 'cancel':
      return client.cancel(pick([address, `${address}/own`]))
    case 'delete':
      return client.delete(address)
    case 'large event':
      return client.send(address, { type: pick(['NOTE', 'BREAK']), text: 'x'.repeat(by) })
    case 'task':
      return work(client, address, 'x'.repeat(by))
    case 'event':
      return event(pick(EVENTS))
  }
}

const EVENTS = [
  ...['GROW', 'TELL', 'TELL', 'REPLY', 'TASKS', 'KIDS', 'TO_KIDS', 'TIMERS', 'BREAK', 'AGAIN'],
]
const OPERATIONS = [
  ...(['start', 'start', 'pause', 'resume', 'resume', 'patch', 'cancel', 'delete'] as const),
  ...(['large event', 'large event', 'task', 'event', 'event', 'event', 'event'] as const),
]

/** Runs the first task of an actor. */
async function work(client: Client, address: string, output: string): Promise<unknown> {
  const { tasks } = await client.get(address)
  const taskId = tasks[0]?.taskId
  if (taskId === undefined) return undefined
  const execute = (operation: object) =>
    client.execute(address, { taskId, ...operation } as never) as Promise<{ token: string }>
  const { token } = await execute({ op: 'task.start', worker: 'w' })
  return execute({ op: 'task.done', token, output })
}
