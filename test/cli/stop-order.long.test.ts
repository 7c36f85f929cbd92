/** `troupe start` of a node that stops: it is not ready first, answers while others take over, then closes. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { shop } from '../gateway/rig.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../nats-server.ts'
import { until } from '../waiting.ts'
import { type Ran, run } from './rig.ts'

let cwd: string
let nats: NatsServer

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-stop-'))
  if (!missingNatsServer) nats = await startNatsServer()
})
afterAll(async () => {
  await nats?.close()
  await rm(cwd, { recursive: true, force: true })
})

class Started {
  readonly #interrupt = new AbortController()
  readonly #ran: Promise<Ran>
  #out = ''

  constructor(name: string) {
    const nodes = ['--nats', nats.url, '--cluster', 'main', '--name', name, '--data', name]
    this.#ran = run(['start', '--http', '0', ...nodes], {
      cwd,
      apps: [shop],
      interrupt: this.#interrupt.signal,
      onOut: (out) => {
        this.#out = out
      },
    })
  }

  async url(): Promise<string> {
    await until(() => this.#out.includes('Ctrl-C'), { timeoutMs: 60_000 }, 'it starts')
    return /listens on (\S+)/.exec(this.#out)![1]!
  }

  stop(): Promise<Ran> {
    this.#interrupt.abort()
    return this.#ran
  }
}

it.skipIf(missingNatsServer)(
  'hands over behind an open gateway',
  { timeout: 120_000 },
  async () => {
    const stopping = new Started('n1')
    const staying = new Started('n2')
    const [url] = await Promise.all([stopping.url(), staying.url()])
    const call = (path: string, init?: RequestInit) =>
      fetch(`${url}${path}`, init).then(
        ({ status }) => status,
        () => 'closed' as const,
      )
    const shown = async () => {
      const response = await fetch(`${url}/troupe/v1/cluster`)
      return (await response.json()) as { nodes: { owns: number; serves: number }[] }
    }
    await until(
      async () => (await shown()).nodes.every(({ owns, serves }) => owns === 32 && serves === 32),
      { timeoutMs: 60_000, every: 100 },
      'both have half',
    )
    const body = JSON.stringify({ customer: 'ann' })
    const headers = { 'content-type': 'application/json' }
    for (let n = 0; n < 8; n++) {
      const path = `/troupe/v1/actors/order/${n}`
      expect(await call(path, { method: 'POST', headers, body })).toBe(201)
    }
    const ended = stopping.stop()
    let answered = 0
    for (let n = 0; ; n++) {
      const ready = await call('/ready')
      const status = await call(`/troupe/v1/actors/order/${n % 8}`)
      // What arrives on an open connection while it closes is refused.
      if (status !== 200) break
      if (ready === 503) answered += 1
    }
    expect(answered, 'once it was not ready any more').toBeGreaterThanOrEqual(8)
    expect(await call('/health')).toBe('closed')
    expect((await ended).code).toBe(0)
    expect((await staying.stop()).code).toBe(0)
  },
)
