/** A small family to be served by workers: an actor runs one command, on the queue that it is told. */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import {
  type AppContext,
  type AppRoute,
  defineApp,
  defineMachine,
  LogStore,
  runProcess,
  type StreamName,
  task,
} from '../../../src/index.ts'

const input = z.object({
  shell: z.string(),
  queue: z.string(),
  onWorkerLost: z.enum(['wait', 'rerun', 'park']),
})

type CommandInput = z.infer<typeof input>

const command = task<CommandInput, number | null>({
  name: 'command',
  queue: ({ queue }) => queue,
  input,
  leaseMs: 'workerLostMs',
  reattach: true,
  onWorkerLost: ({ onWorkerLost }) => onWorkerLost,
  run: async (attempt) => {
    const { code } = await runProcess(attempt, { command: { shell: attempt.input.shell } })
    return code
  },
})

const run = defineMachine({
  machine: setup({
    types: {
      context: {} as CommandInput & { code: number | null },
      events: {} as { type: 'KILL' },
      input: {} as CommandInput,
    },
    actors: { command },
  }).createMachine({
    id: 'run',
    context: ({ input: given }) => ({ ...given, code: null }),
    initial: 'active',
    states: {
      active: {
        invoke: {
          src: 'command',
          input: ({ context: { shell, queue, onWorkerLost } }) => ({ shell, queue, onWorkerLost }),
          onDone: { target: 'done', actions: assign({ code: ({ event }) => event.output }) },
        },
        on: { KILL: 'killed' },
      },
      killed: { type: 'final' },
      done: { type: 'final' },
    },
  }),
  input,
  events: { KILL: z.object({}) },
})

/** What the newest run of an actor wrote, from an offset on, and whether that is all. */
function logRoute({ runs, clock, log }: AppContext): AppRoute {
  const logs = new LogStore({ clock, log })
  return {
    method: 'GET',
    path: '/commands/:id/:stream',
    handle: async ({ params, query }) => {
      const directory = await runs.latest(`run/${params['id']}`)
      if (directory === undefined) return { body: { text: '', end: false, offset: 0 } }
      const stream = params['stream'] as StreamName
      const offset = Number(query.get('offset') ?? 0)
      return { body: await logs.of(directory).read({ stream, offset, bytesMax: 1024 * 1024 }) }
    },
  }
}

export const commands = defineApp({
  name: 'commands',
  machines: [run],
  routes: (context) => [logRoute(context)],
})
