/**
 * What the nodes of these tests host: the machines of the simulator, with tasks that are run and callbacks
 * that send, so that its checkers can judge them; and a `note`, which keeps every text that it was told.
 */
import { assign, fromCallback, setup } from 'xstate'
import { z } from 'zod'
import { defineApp, defineMachine, task } from '../../../src/index.ts'
import { type MachineDefinition, TaskError } from '../../../src/machine/index.ts'
import { WORK_OUTPUT } from '../../simulation/chart-actions.ts'
import { machinesOf } from '../../simulation/machines.ts'
import { failureAt } from '../../simulation/worker-process.ts'

const PULSE_MS = 300
/** It falls silent then, so that a cluster comes to rest. */
const PULSES_MAX = 12

/** As the simulator's, whose results are reported by hand. */
const work = task<{ ms: number }, typeof WORK_OUTPUT>({
  name: 'work',
  queue: 'work',
  retry: { attemptsMax: 4, initialMs: 300, backoffMaxMs: 1_000 },
  run: async ({ input, signal }) => {
    await ended(AbortSignal.any([signal, AbortSignal.timeout(input.ms)]))
    const failure = failureAt(Math.random())
    if (failure !== undefined) throw new TaskError(failure, 'as drawn')
    return WORK_OUTPUT
  },
})

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** A callback that numbers what it sends, at its own pace and once for each event that it is sent. */
export function pulseOf(effectId: string, run: string) {
  return fromCallback(({ sendBack, receive }) => {
    let n = 0
    const pulse = () => {
      n += 1
      sendBack({ type: 'PULSE', live: effectId, run, n })
    }
    receive(pulse)
    const beats = setInterval(() => {
      if (n < PULSES_MAX) pulse()
    }, PULSE_MS)
    return () => clearInterval(beats)
  })
}

function withWork(definition: MachineDefinition): MachineDefinition {
  return { ...definition, machine: definition.machine.provide({ actors: { work } } as never) }
}

const note = defineMachine({
  machine: setup({
    types: { context: {} as { seen: string[] }, events: {} as { type: 'NOTE'; text: string } },
  }).createMachine({
    id: 'note',
    context: { seen: [] },
    on: {
      NOTE: { actions: assign({ seen: ({ context, event }) => [...context.seen, event.text] }) },
    },
  }),
  events: { NOTE: z.object({ text: z.string() }) },
})

export const checkedApp = defineApp({
  name: 'checked',
  machines: [...machinesOf(1).map(withWork), note],
})
