/**
 * Pools of earlier versions of the machine. Decides: what a stored context of version 1, where a request
 * named one stage or none, is in version 2, and one of version 2, which had no choices, in version 3. Pure.
 */
import { z } from 'zod'
import type { Semaphore } from './serving.ts'

const waiter = z.looseObject({ stage: z.string().nullable() })
const first = z.looseObject({ holders: z.array(waiter), waiters: z.array(waiter) })
const second = z.looseObject({ demands: z.array(z.looseObject({})) })

/** From version 1. */
export function fromStages<TState extends { context: unknown }>(state: TState): TState {
  const { holders, waiters, ...others } = first.parse(state.context)
  const stages = [...new Set([...holders, ...waiters].map(({ stage }) => stage))]
  const demands = stages.map((stage, index) => ({
    id: index + 1,
    options: [stage === null ? [] : [stage]],
  }))
  const demanding = ({ stage, ...one }: z.infer<typeof waiter>) => ({
    ...one,
    demand: stages.indexOf(stage) + 1,
    ref: null,
  })
  return {
    ...state,
    context: {
      ...others,
      ...{ gaps: {}, gapped: [], demands },
      holders: holders.map((one) => ({ ...demanding(one), option: 0 })),
      waiters: waiters.map(demanding),
    },
  }
}

/** From version 2. */
export function withChoices<TState extends { context: unknown }>(state: TState): TState {
  const { demands, ...others } = second.parse(state.context)
  const added: Pick<Semaphore, 'choices'> = { choices: {} }
  return {
    ...state,
    context: { ...others, ...added, demands: demands.map((one) => ({ ...one, choice: null })) },
  }
}
