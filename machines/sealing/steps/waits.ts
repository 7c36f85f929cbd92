/**
 * How long a step rests. Decides: the times. Leaves to others: who wakes it earlier. Pure.
 */
import type { Random } from '../../../src/index.ts'
import type { StepInput } from '../thread/index.ts'
import { ManagerDown } from '../venus/index.ts'
import { causeChain, processorKind } from './failures.ts'
import type { StepRest } from './ports.ts'

/** Who restarts is back in seconds; who is gone for an hour is not to be hammered. */
const DOWN_FIRST_MS = 2_000
const DOWN_MAX_MS = 120_000
/** Threads that lost it together do not come back together. */
const JITTER = 0.2
/** A message that failed is not sent again at once: fees and heads have to move first. */
const RESUBMIT_MS = 30_000
/** Managers of ours say when the answer will be another one. */
const LANDS_IN = /\blandsInMs[=:]\s*(\d{1,9})\b/
const POLL_MIN_MS = 100

/** Of what is away and comes back, which is not the sector's fault; nothing for other failures. */
export function outageRest(
  thrown: unknown,
  { rests: all, restedFor }: Pick<StepInput, 'rests' | 'restedFor'>,
  random: Random,
): StepRest | undefined {
  const isManager = thrown instanceof ManagerDown
  if (!isManager && processorKind(thrown) !== 'unhealthy') return undefined
  const reason = isManager ? 'manager-down' : 'processor-down'
  const rests = restedFor === reason ? all : 0
  const wholeMs = Math.min(DOWN_MAX_MS, DOWN_FIRST_MS * 2 ** Math.min(rests, 16))
  const afterMs = Math.round(wholeMs * (1 - JITTER + 2 * JITTER * random.fraction()))
  const cause = causeChain(thrown)
  const why = isManager ? `the manager does not answer: ${cause}` : cause
  return { rest: reason, afterMs, why }
}

export function chainRest({ settings }: StepInput, state: string, desc: string): StepRest {
  const hint = LANDS_IN.exec(desc)?.[1]
  const { rpcPollingIntervalMs } = settings
  const afterMs =
    hint === undefined
      ? rpcPollingIntervalMs
      : Math.max(POLL_MIN_MS, Math.min(rpcPollingIntervalMs, Number(hint)))
  return { rest: 'chain', afterMs, why: desc === '' ? state : `${state}: ${desc}` }
}

/** Before what failed on the chain is submitted anew; no longer than the chain is polled anyway. */
export function resubmitRest({ settings }: StepInput): StepRest {
  const afterMs = Math.min(RESUBMIT_MS, settings.rpcPollingIntervalMs)
  return { rest: 'chain', afterMs, why: 'the message failed on the chain and is sent again' }
}

export function idleRest({ settings }: StepInput, why: string): StepRest {
  return { rest: 'idle', afterMs: settings.recoverIntervalMs, why }
}
