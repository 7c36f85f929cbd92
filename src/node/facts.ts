/**
 * What a client has to know of a cluster before it can speak to actors. Decides: that any node tells it, so
 * that nobody needs a right to read the registry; that a client waits for a node that is not there yet.
 */
import { z } from 'zod'
import { wait } from '../client/index.ts'
import type { Subscription, Transport } from '../ports/index.ts'
import { DEFAULT_LIMITS, type Limits, type Subjects } from '../protocol/index.ts'
import type { NatsLine } from './nats-line.ts'

export interface ClusterFacts {
  cluster: string
  shardCount: number
  limits: Limits
}

/** Members of it share the question. */
const QUEUE = 'facts'
const ASK_MS = 2_000
const PAUSE_MS = 200

export function serveFacts(
  transport: Transport,
  subjects: Subjects,
  facts: ClusterFacts,
): Subscription {
  const answer = Buffer.from(JSON.stringify({ ok: facts }))
  return transport.subscribe(subjects.facts(), { queue: QUEUE }, ({ reply }) => reply?.(answer))
}

/**
 * Undefined when no node has answered until then, by the monotonic clock.
 * @throws TroupeError `forbidden` when our user may not ask
 */
export async function askFacts(
  line: NatsLine,
  endMs: number,
  signal: AbortSignal,
): Promise<ClusterFacts | undefined> {
  const { clock, subjects } = line
  for (;;) {
    const leftMs = endMs - clock.monotonic()
    const refusal = line.refusalOf(subjects.facts())
    if (refusal) throw refusal
    if (leftMs <= 0 || signal.aborted) return undefined
    const facts = await askOnce(line, Math.min(ASK_MS, leftMs))
    if (facts) return facts
    await wait({ clock, signal }, Math.min(PAUSE_MS, leftMs))
  }
}

function askOnce(
  { transport, subjects }: NatsLine,
  timeoutMs: number,
): Promise<ClusterFacts | undefined> {
  const request = { subject: subjects.facts(), payload: new Uint8Array(), timeoutMs }
  return new Promise((resolve) => {
    transport.request(request, (outcome) => {
      resolve(outcome.kind === 'reply' ? factsIn(outcome.payload) : undefined)
    })
  })
}

const ANSWER = z.object({
  ok: z.object({
    cluster: z.string(),
    shardCount: z.int().positive(),
    limits: z.record(z.string(), z.unknown()),
  }),
})

function factsIn(payload: Uint8Array): ClusterFacts | undefined {
  try {
    const { cluster, shardCount, limits } = ANSWER.parse(
      JSON.parse(Buffer.from(payload).toString()),
    ).ok
    return { cluster, shardCount, limits: knownLimits(limits) }
  } catch {
    return undefined
  }
}

/** A node of another version may know others. */
function knownLimits(told: Readonly<Record<string, unknown>>): Limits {
  const names = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]
  const known = names.flatMap((name) => {
    const value = told[name]
    return typeof value === 'number' && value > 0 ? [[name, value] as const] : []
  })
  return { ...DEFAULT_LIMITS, ...Object.fromEntries(known) }
}
