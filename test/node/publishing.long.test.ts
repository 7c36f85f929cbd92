/**
 * The data of a node that was alone, brought into a cluster of real processes, while the one that brings them
 * is killed at any moment.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { createNode } from '../../src/index.ts'
import { ProgramConnection } from '../cluster/processes/programs.ts'
import { missingNatsServer, type NatsServer, startNatsServer, TIED } from '../nats-server.ts'
import { scriptArguments } from '../script.ts'
import { until } from '../waiting.ts'
import type { WardProcessSettings } from './ward-process.ts'
import { SHARDS, WardSet } from './ward-set.ts'
import { wards } from './wards.ts'

const ACTORS = 1_000
const KILLS = 12
/** By workers as well. */
const UNTOUCHED = ['kept', 'told'] as const
const START_MS = 60_000
const BRINGS = 'this node brings what it had alone'
/** As long as that takes, about: while it is alone, and once it is a member. */
const ALONE_MS = 400
const MEMBER_MS = 100

let nats: NatsServer
let directory: string
let processes: WardProcess[]

beforeEach(async () => {
  nats = await startNatsServer()
  directory = mkdtempSync(join(tmpdir(), 'troupe-wards-'))
  processes = []
})

afterEach(async () => {
  await Promise.all(processes.map((one) => one.kill()))
  await nats.close()
  rmSync(directory, { recursive: true, force: true })
})

class WardProcess {
  readonly dataDirectory: string
  readonly #settings: WardProcessSettings
  #child: ChildProcess | undefined
  #printed = ''
  #errors = ''

  constructor(name: string, servers = [nats.url]) {
    this.dataDirectory = join(directory, name)
    this.#settings = {
      ...{ name, dataDirectory: this.dataDirectory, servers },
      ...{ ranFile: join(directory, 'ran'), logFile: join(directory, `${name}.log`) },
    }
    processes.push(this)
  }

  get log(): string {
    const { logFile } = this.#settings
    return existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''
  }

  get serves(): boolean {
    return this.#printed.includes('serves')
  }

  start(): void {
    const script = join(import.meta.dirname, 'ward-process.ts')
    const argv = [process.execPath, ...scriptArguments(script), JSON.stringify(this.#settings)]
    const [command, ...args] = [...TIED, ...argv]
    this.#printed = ''
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.on('data', (bytes: Buffer) => {
      this.#printed += bytes.toString()
    })
    child.stderr.on('data', (bytes: Buffer) => {
      this.#errors += bytes.toString()
    })
    this.#child = child
  }

  kill(): Promise<number | null> {
    return this.end('SIGKILL')
  }

  /** Resolves with its exit code. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return null
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    child.kill(signal)
    return ended
  }

  until(condition: () => boolean, what: string): Promise<unknown> {
    return until(condition, { timeoutMs: START_MS }, () => `${what}\n${this.log}${this.#errors}`)
  }
}

/** Numbers from 0 to 1 that a seed gives. */
function* fractions(seed: number): Generator<number, never> {
  let state = seed >>> 0
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    yield state / 2 ** 32
  }
}

describe.skipIf(missingNatsServer)('a thousand actors of a node that was alone', () => {
  it('are a cluster of three as they were, however often the founder is killed', async () => {
    const set = new WardSet(ACTORS, join(directory, 'ran'))
    const founder = new WardProcess('n1')
    const alone = () =>
      createNode({
        ...{ dataDirectory: founder.dataDirectory, worker: false },
        apps: [wards(join(directory, 'ran'))],
      })
    const first = await alone()
    await set.fill(first.client)
    const before = await set.still(first.client)
    const untouched = await set.still(first.client, UNTOUCHED)
    await first.stop()

    const other = new WardProcess('n2')
    const random = fractions(inject('seed'))
    let isMember = false
    for (let kills = 0; kills < KILLS; kills++) {
      const told = founder.log.length
      founder.start()
      const begins = () => founder.log.slice(told).includes(BRINGS) || founder.serves
      await founder.until(begins, 'the founder begins')
      if (founder.serves) break
      if (kills === 0) other.start()
      const killAt = performance.now() + random.next().value * (isMember ? MEMBER_MS : ALONE_MS)
      await founder.until(() => performance.now() >= killAt, 'the moment of its death')
      await founder.kill()
      const again = await alone().catch((thrown: unknown) => String(thrown))
      if (typeof again === 'string') {
        expect(again).toContain('belongs to the node n1')
        isMember = true
      } else {
        expect(isMember, 'a member is alone no more').toBe(false)
        expect(other.serves, 'nobody begins without it').toBe(false)
        expect(await set.still(again.client)).toEqual(before)
        await again.stop()
      }
    }
    await founder.kill()
    founder.start()
    const third = new WardProcess('n3')
    third.start()
    for (const one of [founder, other, third]) await one.until(() => one.serves, 'it serves')

    const program = await ProgramConnection.open({
      ...{ name: 'judge', servers: [nats.url], cluster: 'troupe', shards: SHARDS },
    })
    try {
      expect(await set.still(program.client, UNTOUCHED)).toEqual(untouched)
      await set.goesOn(program.client)
    } finally {
      await program.close()
    }
  }, 500_000)

  it('stay with a process that serves them alone', async () => {
    const one = new WardProcess('n1', [])
    one.start()
    await one.until(() => one.serves, 'it serves')
    const { dataDirectory } = one
    const joining = createNode({ dataDirectory, apps: [], nats: { servers: [nats.url] } })
    await expect(joining).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/is open in the process \d+: stop that one first/),
    })
    expect(await one.end('SIGTERM'), 'it is as before').toBe(0)
  }, 120_000)
})
