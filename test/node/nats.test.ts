/** A cluster as it is run: nodes in processes of their own, on a real nats-server. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { missingNatsServer, type NatsServer, startNatsServer } from '../nats-server.ts'
import { until } from '../waiting.ts'
import { MemberProcess, settled } from './members.ts'

let nats: NatsServer
let directory: string
let members: MemberProcess[]

beforeEach(async () => {
  nats = await startNatsServer()
  directory = mkdtempSync(join(tmpdir(), 'troupe-members-'))
  members = ['n1', 'n2', 'n3'].map((name) => new MemberProcess(name, directory, [nats.url]))
})

afterEach(async () => {
  await Promise.all(members.map((one) => one.end('SIGKILL')))
  await nats.close()
  rmSync(directory, { recursive: true, force: true })
})

/** Writes to a few actors all the time, through whoever is up; what was acknowledged is kept. */
class Writers {
  readonly acknowledged = new Map<string, string[]>()
  readonly failures: string[] = []
  readonly #running: Promise<void>[]
  #isOver = false

  constructor(count: number) {
    this.#running = Array.from({ length: count }, (_, at) => this.#write(`counter/${at}`, at))
  }

  async more(count: number): Promise<void> {
    const all = () => [...this.acknowledged.values()].reduce((sum, one) => sum + one.length, 0)
    const least = all() + count
    await until(
      () => all() >= least,
      { timeoutMs: 25_000 },
      () => `${all()} of ${least} writes`,
    )
  }

  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#running)
  }

  async judge(at: MemberProcess): Promise<void> {
    for (const [address, texts] of this.acknowledged) {
      const { context } = await at.call<{ context: { seen: string[] } }>(
        'GET',
        `/actors/${address}`,
      )
      const told = new Set(texts)
      expect(context.seen.filter((text) => told.has(text))).toEqual(texts)
      expect(new Set(context.seen).size, 'once').toBe(context.seen.length)
    }
  }

  async #write(address: string, at: number): Promise<void> {
    const texts: string[] = []
    this.acknowledged.set(address, texts)
    const member = () => {
      const up = members.filter(({ isUp }) => isUp)
      return up[at % up.length]!
    }
    await member().call('POST', `/actors/${address}`, {})
    for (let n = 0; !this.#isOver; n++) {
      const [text, one] = [String(n), member()]
      try {
        await one.call('POST', `/actors/${address}/send`, { type: 'NOTE', text })
        texts.push(text)
      } catch (thrown) {
        // What went with the node that was asked may or may not have been applied.
        if (one.isUp) this.failures.push(String(thrown))
      }
    }
  }
}

describe.skipIf(missingNatsServer)('with a nats-server', () => {
  it('three nodes outlive the death of one, of the server, and a restart of each', async () => {
    await Promise.all(members.map((one) => one.start()))
    const { leader } = await settled(members)
    const writers = new Writers(6)
    await writers.more(100)

    const victim = members.find(({ name }) => name === leader?.name)!
    const others = members.filter((one) => one !== victim)
    await victim.end('SIGKILL')
    await writers.more(100)
    await settled(others)
    await victim.start()
    await settled(members)

    await nats.kill()
    await nats.start()
    await writers.more(100)

    expect(await others[0]!.end('SIGTERM'), 'it hands over and ends').toBe(0)
    expect(others[0]!.log).toContain('"serves":0,"of":8,"msg":"this node leaves the cluster"')
    await settled(members.filter(({ isUp }) => isUp))
    await writers.more(100)
    await writers.end()
    expect(writers.failures).toEqual([])
    await writers.judge(victim)
    await others[1]!.call('POST', '/actors/adder/1', {})
    const isDone = async () =>
      (await victim.call<{ status: string }>('GET', '/actors/adder/1')).status === 'done'
    await until(isDone, { timeoutMs: 10_000 }, 'a task runs')
  }, 90_000)
})
