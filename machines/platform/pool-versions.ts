/**
 * Pools of earlier versions of the machine. Decides: what a stored context of version 1, where a request
 * named one stage or none, is in version 2. Pure.
 */
import { z } from 'zod'
import type { Demand, Semaphore } from './serving.ts'

const waiter = z.looseObject({ stage: z.string().nullable() })
const context = z.looseObject({ holders: z.array(waiter), waiters: z.array(waiter) })

/** From version 1. */
export function fromStages<TState extends { context: unknown }>(state: TState): TState {
  const { holders, waiters, ...others } = context.parse(state.context)
  const stages = [...new Set([...holders, ...waiters].map(({ stage }) => stage))]
  const demands = stages.map(
    (stage, index): Demand => ({ id: index + 1, options: [stage === null ? [] : [stage]] }),
  )
  const demanding = ({ stage, ...one }: z.infer<typeof waiter>) => ({
    ...one,
    demand: stages.indexOf(stage) + 1,
    ref: null,
  })
  const added: Partial<Semaphore> = { gaps: {}, gapped: [], demands }
  return {
    ...state,
    context: {
      ...others,
      ...added,
      holders: holders.map((one) => ({ ...demanding(one), option: 0 })),
      waiters: waiters.map(demanding),
    },
  }
}
