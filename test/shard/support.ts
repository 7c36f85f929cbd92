/**
 * Short ways to build machines and to look at what the engine did. Machines are written as plain
 * configurations: what the compiler says of well-typed ones is the business of the type tests.
 */
import { type AnyStateMachine, assign, createMachine } from 'xstate'
import { z } from 'zod'
import {
  defineMachine,
  type MachineDefinition,
  type TaskOptions,
  task,
} from '../../src/machine/index.ts'
import {
  type ActorView,
  type EventObject,
  formatCommandId,
  type HistoryView,
  TroupeError,
  unpack,
} from '../../src/protocol/index.ts'
import type { StartedAttempt } from '../../src/worker/attempt-files.ts'
import { Harness, type HarnessOptions } from './harness.ts'

/** What the functions of a test machine are given. */
export interface Args {
  context: { n: number; seen: string[]; [field: string]: unknown }
  event: EventObject & { by: number; text: string; to: string; output: unknown; error: unknown }
}

/** `assign` without the types of a certain machine. */
export function change(changes: (args: Args) => object): object {
  return assign(changes as never)
}

/** An assign that remembers a text in `context.seen`. */
export function see(text: string | ((args: Args) => string)): object {
  return change((args) => ({
    seen: [...args.context.seen, typeof text === 'string' ? text : text(args)],
  }))
}

type Options = Partial<Omit<Parameters<typeof defineMachine>[0], 'machine'>>

/** A machine with a context of `{ n, seen }`; every event that it names takes any payload. */
export function host(
  name: string,
  config: object,
  implementations: object = {},
  options: Options = {},
): MachineDefinition {
  const machine = chart(name, config, implementations)
  const types = (machine.events as string[]).filter((type) => !/^(xstate|troupe)\.|\*/.test(type))
  const internal = (options.internal ?? []) as readonly string[]
  const events = Object.fromEntries(
    types.filter((type) => !internal.includes(type)).map((type) => [type, z.looseObject({})]),
  )
  return defineMachine({ events, ...options, machine } as never) as MachineDefinition
}

export function chart(name: string, config: object, implementations: object = {}): AnyStateMachine {
  const whole = { id: name, context: { n: 0, seen: [] }, ...config }
  return createMachine(whole as never, implementations as never) as AnyStateMachine
}

/** A task that no test runs: results are reported by hand. */
export function job(name: string, options: Partial<TaskOptions<unknown, unknown>> = {}) {
  return task({ name, run: () => Promise.resolve(), ...options })
}

/** Adds, remembers, answers, fails and finishes: enough for most tests. */
export const counter = host(
  'counter',
  {
    initial: 'on',
    states: {
      on: {
        on: {
          ADD: { actions: 'add' },
          NOTE: { actions: 'note' },
          BOOM: { guard: 'boom', target: 'off' },
          BAD: { actions: 'bad' },
          BIG: { actions: 'grow' },
          OFF: 'off',
          FINISH: 'end',
        },
      },
      off: { on: { ON: 'on', NOTE: { actions: 'note' } } },
      end: { type: 'final' },
    },
    output: ({ context }: Args) => context.n,
  },
  {
    actions: {
      add: change(({ context, event }) => ({ n: context.n + event.by })),
      note: see(({ event }) => event.text),
      bad: change(() => {
        throw new Error('the assign broke')
      }),
      grow: change(({ event }) => ({ blob: 'x'.repeat(event.by) })),
    },
    guards: {
      boom: () => {
        throw new Error('the guard broke')
      },
    },
  },
  {
    events: {
      ADD: z.object({ by: z.int() }),
      NOTE: z.object({ text: z.string() }),
      BOOM: z.object({}),
      BAD: z.object({}),
      BIG: z.object({ by: z.int() }),
      OFF: z.object({}),
      ON: z.object({}),
      FINISH: z.object({}),
    },
    context: z.looseObject({ n: z.number(), seen: z.array(z.string()) }),
    index: (context: unknown) => ({ n: (context as { n: number }).n }),
  } as Options,
)

export function open(
  machines: readonly MachineDefinition[],
  options: Partial<HarnessOptions> = {},
) {
  return new Harness({ machines, ...options })
}

let restarts = 1

/** The same data under new engines, as after kill -9; another seed, or command ids would repeat. */
export function restart(
  from: Harness,
  machines: readonly MachineDefinition[],
  options: Partial<HarnessOptions> = {},
): Harness {
  restarts += 1
  return new Harness({ limits: from.limits, seed: restarts, ...options, machines, from })
}

export function start(h: Harness, address: string, input?: unknown) {
  return h.run(h.client.start(address, input))
}

export function send(h: Harness, address: string, type: string, fields: object = {}) {
  return h.run(h.client.send(address, { type, ...fields }))
}

export function get(h: Harness, address: string): Promise<ActorView> {
  return h.run(h.client.get(address))
}

export async function seen(h: Harness, address: string): Promise<string[]> {
  return ((await get(h, address)).context as { seen: string[] }).seen
}

export async function history(h: Harness, address: string, limit = 1_000): Promise<HistoryView[]> {
  return (await h.run(h.client.history(address, { limit }))).reverse()
}

/** The failure of a call that has to fail. */
export async function failure(h: Harness, work: Promise<unknown>): Promise<TroupeError> {
  try {
    await h.run(work)
  } catch (thrown) {
    if (thrown instanceof TroupeError) return thrown
    throw thrown
  }
  throw new Error('the call was expected to fail')
}

export async function code(h: Harness, work: Promise<unknown>): Promise<string> {
  return (await failure(h, work)).code
}

let ids = 0
export function commandId(h: Harness, atMs = h.clock.now()): string {
  ids += 1
  return formatCommandId(atMs, `test-${ids}`)
}

/** Remembered replies and the audit trail outlive an actor. */
const OUTLIVE = [0x20, 0x70]

/** Tables (third byte of a key) of all rows that name an address or something below it. */
export function tablesWith(h: Harness, address: string): number[] {
  const found = new Set<number>()
  for (const { key, value } of rows(h)) {
    const text = Buffer.from(key).toString('latin1')
    const stop = /[^\w]/
    const at = text.indexOf(address)
    if (at >= 0 && (text.length === at + address.length || stop.test(text[at + address.length]!)))
      found.add(key[2]!)
    else if (Buffer.from(value).toString('latin1').includes(`${address}#`)) found.add(key[2]!)
  }
  return [...found].filter((table) => !OUTLIVE.includes(table)).sort()
}

export function rows(h: Harness): { key: Uint8Array; value: Uint8Array }[] {
  return [...h.store.range({ from: Uint8Array.of(0), to: Uint8Array.of(0xff) })]
}

/** A worker in the hands of the test. */
export function worker(h: Harness, name = 'w1') {
  const execute = (taskId: string, operation: object) =>
    h.client.execute(taskId.slice(0, taskId.indexOf('#')), { taskId, ...operation } as never)
  /** Its input comes packed. */
  const begin = async (taskId: string, operation: object) => {
    const begun = (await execute(taskId, operation)) as StartedAttempt
    return { ...begun, input: unpack(begun.input) }
  }
  return {
    name,
    /** Without a ticket as whoever may command the actor itself. */
    start: (taskId: string, ticket?: string) =>
      begin(taskId, { op: 'task.start', worker: name, ...(ticket !== undefined && { ticket }) }),
    attach: (taskId: string, token: string) =>
      begin(taskId, { op: 'task.attach', worker: name, token }),
    beat: (taskId: string, token: string, progress?: unknown) =>
      execute(taskId, { op: 'task.beat', token, progress }),
    done: (taskId: string, token: string, output?: unknown) =>
      execute(taskId, { op: 'task.done', token, output }),
    fail: (taskId: string, token: string, kind: string, message = 'it broke') =>
      execute(taskId, { op: 'task.failed', token, failure: { class: kind, message } }),
  }
}

/** The only task of an actor. */
export async function theTask(h: Harness, address: string) {
  const { tasks } = await get(h, address)
  if (tasks.length !== 1) throw new Error(`${address} has ${tasks.length} tasks`)
  return tasks[0]!
}
