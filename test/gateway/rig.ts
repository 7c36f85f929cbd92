/**
 * A real node and a real gateway on a free port, with a small machine to talk to. Requests go
 * through node:http, because fetch decides some headers (Host, Origin) by itself.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { createGateway, type Gateway, type GatewayOptions } from '../../src/gateway/index.ts'
import { defineMachine, reply, TaskError, task } from '../../src/machine/index.ts'
import { type App, createNode, defineApp, type TroupeNode } from '../../src/node/index.ts'
import { fromJson, type Limits } from '../../src/protocol/index.ts'

interface OrderContext {
  customer: string
  amount: number
  card: string
}

const charge = task({
  name: 'charge',
  run: async ({ input }: { input: unknown }) => {
    if ((input as { amount: number }).amount > 1_000) {
      throw new TaskError('permanent', 'the bank refuses')
    }
    return 'charged'
  },
})

/** draft → open → charging → paid; `card` is a secret; CLOSE ends it. */
export const order = defineMachine({
  machine: setup({
    types: {
      input: {} as { customer: string; card?: string },
      context: {} as OrderContext,
      events: {} as
        | { type: 'OPEN'; amount: number }
        | { type: 'PAY' }
        | { type: 'CLOSE' }
        | { type: 'ASK' }
        | { type: 'BIG'; id: bigint },
    },
    actors: { charge },
    actions: {
      amount: reply(({ context }) => ({ amount: (context as OrderContext).amount })),
      next: reply(({ event }) => (event as unknown as { id: bigint }).id + 1n),
    },
  }).createMachine({
    id: 'order',
    context: ({ input }) => ({ customer: input.customer, amount: 0, card: input.card ?? '' }),
    initial: 'draft',
    on: { CLOSE: '.closed', ASK: { actions: 'amount' } },
    states: {
      draft: {
        on: {
          OPEN: { target: 'open', actions: assign({ amount: ({ event }) => event.amount }) },
          BIG: { actions: 'next' },
        },
      },
      open: { tags: ['waiting'], on: { PAY: 'charging' } },
      charging: {
        invoke: {
          src: 'charge',
          input: ({ context }: { context: OrderContext }) => context,
          onDone: 'paid',
        },
      },
      paid: {},
      closed: { type: 'final' },
    },
  }),
  events: {
    OPEN: z.object({ amount: z.number() }),
    PAY: z.object({}),
    CLOSE: z.object({}),
    ASK: z.object({}),
    BIG: z.object({ id: z.bigint() }),
  },
  input: z.object({ customer: z.string().min(1), card: z.string().optional() }),
  context: z.object({ customer: z.string(), amount: z.number(), card: z.string() }),
  secrets: ['card'],
  index: ({ customer, amount }) => ({ customer, amount }),
})

export const shop: App = defineApp({ name: 'shop', machines: [order] })

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** The body as JSON; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any
}

export interface CallInit {
  /** Text and bytes go as they are, everything else as JSON. */
  body?: unknown
  headers?: Record<string, string>
}

export function call(
  base: string,
  method: string,
  path: string,
  init: CallInit = {},
): Promise<Answer> {
  const { body, headers = {} } = init
  const isRaw = typeof body === 'string' || body instanceof Uint8Array || body === undefined
  const payload = isRaw ? body : JSON.stringify(body)
  const sent = isRaw ? headers : { 'content-type': 'application/json', ...headers }
  return new Promise((resolve, reject) => {
    // The path goes out as it stands: URL would tidy away what some cases are about.
    const { hostname, port } = new URL(base)
    const outgoing = httpRequest(
      { hostname, port, path, method, headers: sent, agent: false },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text,
            body: jsonOf(text),
          })
        })
      },
    )
    outgoing.on('error', reject)
    // As bytes: Node writes headers in the encoding of a text that goes out with them.
    outgoing.end(typeof payload === 'string' ? Buffer.from(payload) : payload)
  })
}

function jsonOf(text: string): unknown {
  try {
    return fromJson(text)
  } catch {
    return undefined
  }
}

export interface Rig {
  node: TroupeNode
  gateway: Gateway
  directory: string
  call(method: string, path: string, init?: CallInit): Promise<Answer>
  /** Starts an order; returns its path below `/troupe/v1`. */
  start(id: string, input?: unknown): Promise<string>
  close(): Promise<void>
}

export async function startRig(
  options: {
    apps?: readonly App[]
    limits?: Partial<Limits>
    gateway?: Omit<GatewayOptions, 'node'>
  } = {},
): Promise<Rig> {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-gateway-'))
  const node = await createNode({
    dataDirectory: directory,
    apps: [shop, ...(options.apps ?? [])],
    ...(options.limits ? { limits: options.limits } : {}),
  })
  const gateway = await createGateway({
    node,
    port: 0,
    ...options.gateway,
  }).catch(async (thrown: unknown) => {
    await node.stop()
    await rm(directory, { recursive: true, force: true })
    throw thrown
  })
  return {
    node,
    gateway,
    directory,
    call: (method, path, init) => call(gateway.url, method, path, init),
    start: async (id, input = { customer: 'ann' }) => {
      const path = `/troupe/v1/actors/order/${encodeURIComponent(id)}`
      const answer = await call(gateway.url, 'POST', path, { body: input })
      if (answer.status !== 201) throw new Error(`not started: ${answer.text}`)
      return path
    },
    close: async () => {
      await gateway.close()
      await node.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
