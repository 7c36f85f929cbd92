/**
 * P6: a stale token is refused, and a task has one running attempt at a time: a running attempt ends
 * before the next begins, attempts count up with tokens of their own, and what a worker was told is
 * accepted was the attempt that the actor had.
 */
import type { SimEvent, TaskFact, Violation } from '../events.ts'
import { entryOf, finalChains } from '../mirror.ts'

interface Past {
  tokens: Map<string, number>
  last: TaskFact
  /** The token of the last attempt that ran. */
  ran: string
}

export function oneAttemptAtATime(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const pasts = new Map<string, Past>()
  for (const [shard, chain] of finalChains(events)) {
    for (const { fact, seq } of chain) {
      if (fact.kind !== 'batch') continue
      for (const { address, tasks } of fact.actors) {
        for (const task of tasks) {
          for (const what of step(pasts, task))
            found.push({ checker: 'tasks', what, seq, shard, address })
        }
      }
    }
  }
  for (const event of events) {
    if (event.kind !== 'task-reported' || event.code !== 'ok') continue
    const { taskId, token, seq, worker } = event
    const past = pasts.get(taskId)
    if (past?.ran === token) continue
    // Failed attempts are accepted one after the other; the last one ends the task.
    if (event.op === 'task.failed' && past?.tokens.has(token)) continue
    const what = `${worker} was told that its result of ${taskId} counts; the last attempt had another token`
    found.push({ checker: 'tasks', what, seq, address: taskId.slice(0, taskId.indexOf('#')) })
  }
  return found
}

function* step(pasts: Map<string, Past>, task: TaskFact): Generator<string> {
  const { taskId, token, attempt, state } = task
  const past = entryOf(pasts, taskId, (): Past => ({ tokens: new Map(), last: task, ran: '' }))
  const { last } = past
  if (state === 'running') {
    const known = past.tokens.get(token)
    if (known !== undefined && known !== attempt) yield `${taskId}: two attempts have one token`
    if (last.state === 'running' && last.token !== token) {
      yield `${taskId}: attempt ${attempt} began while attempt ${last.attempt} was running`
    }
    if (known === undefined && past.tokens.size > 0 && attempt !== last.attempt + 1) {
      yield `${taskId}: attempt ${attempt} follows attempt ${last.attempt}`
    }
    past.tokens.set(token, attempt)
    past.ran = token
  }
  past.last = task
}
