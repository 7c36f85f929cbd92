/**
 * Clients that never give up: each request keeps its command id until it has an answer, so that a
 * lost answer and a lost request look the same to the node. What was acknowledged is written down.
 */
import { until } from '../waiting.ts'

export interface Acknowledged {
  adds: { actor: string; ref: string }[]
  arms: { actor: string; ref: string; dueAt: number }[]
  tells: { to: string; ref: string }[]
  runs: string[]
}

export interface Load {
  url: string
  /** References begin with it: two loads never share one. */
  name: string
  actors: readonly string[]
  lineFile: string
  random: () => number
  stopped: () => boolean
}

const ANSWER_TIMEOUT_MS = 90_000

export async function runClient(load: Load, acknowledged: Acknowledged): Promise<void> {
  for (let count = 0; !load.stopped(); count++) {
    const ref = `${load.name}-${count}`
    const actor = pick(load)
    const kind = load.random()
    if (kind < 0.6) {
      await post(load, `actors/ledger/${actor}/send`, { type: 'ADD', ref })
      acknowledged.adds.push({ actor, ref })
    } else if (kind < 0.75) {
      const delayMs = Math.floor(load.random() * 2_000)
      const at = Date.now()
      await post(load, `actors/ledger/${actor}/send`, { type: 'ARM', ref, delayMs, at })
      acknowledged.arms.push({ actor, ref, dueAt: at + delayMs })
    } else if (kind < 0.93) {
      const to = pick(load)
      await post(load, `actors/ledger/${actor}/send`, { type: 'TELL', ref, to: `ledger/${to}` })
      acknowledged.tells.push({ to, ref })
    } else {
      await post(load, `actors/runner/${ref}`, { ref, file: load.lineFile })
      acknowledged.runs.push(ref)
    }
  }
}

function pick(load: Load): string {
  return load.actors[Math.floor(load.random() * load.actors.length)] ?? 'a0'
}

let unique = 0

/** Sends with one id until an answer of the node comes; anything but success is a finding. */
export async function post(
  load: Pick<Load, 'url' | 'name'>,
  path: string,
  body: unknown,
): Promise<unknown> {
  const headers = {
    'content-type': 'application/json',
    'idempotency-key': `${Date.now()}-${load.name}-${unique++}`,
  }
  let last = ''
  const answer = await until(
    async () => {
      const response = await fetch(`${load.url}/troupe/v1/${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(5_000),
      })
      last = `${response.status} ${await response.text()}`
      if (response.status >= 500) throw new Error(last)
      return { ok: response.ok, text: last }
    },
    { timeoutMs: ANSWER_TIMEOUT_MS, every: 20 },
    () => `an answer to ${path}; the last was ${last}`,
  )
  if (!answer.ok) throw new Error(`POST ${path} was refused: ${answer.text}`)
  return answer.text
}
