/**
 * A real node with many actors, killed in the middle of a bulk. Decides: what is asked, when the node is
 * killed, and what must be true in the end.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { platform } from '../../../machines/platform/index.ts'
import { createNode, defineApp, type TroupeNode } from '../../../src/index.ts'
import { scriptArguments } from '../../script.ts'
import { until } from '../../waiting.ts'
import { order } from './bulk-machines.ts'

const apps = [platform, defineApp({ name: 'shop', machines: [order] })]
const STARTED_AT_ONCE = 1_000

/** A node in a process of its own. */
class Child {
  readonly #directory: string
  #process: ChildProcess | undefined
  #url = ''

  constructor(directory: string) {
    this.#directory = directory
  }

  async start(): Promise<void> {
    const script = join(import.meta.dirname, 'bulk-process.ts')
    const args = [...scriptArguments(script), this.#directory]
    const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = started
    this.#url = await new Promise<string>((resolve, reject) => {
      started.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()))
      started.once('exit', (code) => reject(new Error(`the node ended: ${code}`)))
    })
  }

  async kill(): Promise<void> {
    const killed = this.#process
    this.#process = undefined
    if (killed === undefined) return
    const exited = new Promise<void>((resolve) => killed.once('exit', () => resolve()))
    killed.kill('SIGKILL')
    await exited
  }

  async ask(path: string, body?: object): Promise<Record<string, unknown>> {
    const headers = { 'content-type': 'application/json' }
    const init = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) }
    const response = await fetch(this.#url + path, init)
    return (await response.json()) as Record<string, unknown>
  }
}

/** @param killedAt how many are done when the node is killed, each time */
export async function countAll(
  count: number,
  perSecond: number,
  killedAt: readonly number[],
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-bulk-'))
  const child = new Child(directory)
  try {
    await inProcess(directory, (node) => makeOrders(node, count))
    await child.start()
    const operation = { op: 'send', event: { type: 'COUNT' } }
    const filter = { machine: 'order', state: 'open' }
    await child.ask('/bulk', { id: 'all', operation, filter, perSecond })
    for (const killed of killedAt) {
      await seen(child, (bulk) => Number(bulk['done']) >= killed)
      await child.kill()
      await child.start()
    }
    const bulk = await seen(child, ({ status }) => status === 'completed')
    expect(bulk).toMatchObject({ done: count, skipped: 0, failed: 0 })
    await child.kill()
    // The start is the first turn of each.
    expect([...(await inProcess(directory, turnsOf))]).toEqual([[2, count]])
  } finally {
    await child.kill()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function seen(
  child: Child,
  isSo: (bulk: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  let bulk: Record<string, unknown> = {}
  const look = async () => {
    bulk = await child.ask('/bulk/all')
    return isSo(bulk)
  }
  await until(look, { timeoutMs: 60_000, every: 50 }, () => `it gets on: ${JSON.stringify(bulk)}`)
  return bulk
}

async function inProcess<T>(
  dataDirectory: string,
  work: (node: TroupeNode) => Promise<T>,
): Promise<T> {
  const node = await createNode({ dataDirectory, apps, worker: false })
  try {
    return await work(node)
  } finally {
    await node.stop()
  }
}

async function makeOrders({ client }: TroupeNode, count: number): Promise<void> {
  for (let from = 0; from < count; from += STARTED_AT_ONCE) {
    const ids = Array.from({ length: STARTED_AT_ONCE }, (_, n) => `order/o${from + n}`)
    await Promise.all(ids.map((address) => client.start(address)))
  }
}

/** How many have how many turns. */
async function turnsOf({ client }: TroupeNode): Promise<Map<number, number>> {
  const counts = new Map<number, number>()
  let cursor: string | undefined
  do {
    const query = { filter: { machine: 'order' }, ...(cursor === undefined ? {} : { cursor }) }
    const page = await client.scan(query)
    for (const { turn } of page.rows) counts.set(turn, (counts.get(turn) ?? 0) + 1)
    cursor = page.cursor
  } while (cursor !== undefined)
  return counts
}
