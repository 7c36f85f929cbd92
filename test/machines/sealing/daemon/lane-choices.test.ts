/** A child that is down is not granted: what the pool is told, one thing at a time; with children that die. */
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { parseWorkerConfig } from '../../../../machines/sealing/daemon/config.ts'
import { Daemon } from '../../../../machines/sealing/daemon/index.ts'
import { choicesWithout, LaneChoices } from '../../../../machines/sealing/daemon/lane-choices.ts'
import type { LaneReport } from '../../../../machines/sealing/processors/index.ts'
import { type Client, type EventObject, openLog, systemClock } from '../../../../src/index.ts'
import { until } from '../../../waiting.ts'
import { CHILD } from '../processors/rig.ts'
import { FakeManager } from './fake-manager.ts'
import { sealingApps } from './sealing-apps.ts'

const log = openLog({ level: 'silent' })
const PATIENCE = { timeoutMs: 60_000, every: 50 }
const CHOICES = {
  pc1: [
    ['stage.pc1', 'child.pc1.0', 'lock.a'],
    ['stage.pc1', 'child.pc1.1', 'lock.b'],
  ],
  pc2: [['stage.pc2', 'child.pc2.0']],
}
const [FIRST, SECOND] = CHOICES.pc1

it('of a stage all that are down are left out, unless all are', () => {
  const without = (...lanes: string[]) => choicesWithout(CHOICES, new Set(lanes))
  expect(without()).toEqual(CHOICES)
  expect(without('child.pc1.0')).toEqual({ ...CHOICES, pc1: [SECOND] })
  expect(without('child.pc1.0', 'child.pc2.0')).toEqual({ ...CHOICES, pc1: [SECOND] })
  expect(without('child.pc1.0', 'child.pc1.1')).toEqual(CHOICES)
})

describe('the pool is told', () => {
  /** What has been sent, and how each ends. */
  const sent: { choices: unknown; end: (error?: Error) => void }[] = []
  const client = {
    send: (_to: string, { choices }: EventObject) =>
      new Promise<void>((resolve, reject) => {
        sent.push({ choices, end: (error) => (error ? reject(error) : resolve()) })
      }),
  } as unknown as Client
  const waiting: (() => void)[] = []
  const clock = {
    ...systemClock(),
    after: (_ms: number, call: () => void) => {
      waiting.push(call)
      return () => {}
    },
  }
  const laneChoices = () => new LaneChoices({ worker: 'w1', choices: CHOICES, clock, log })
  const toldOf = (count: number) =>
    until(
      () => sent.length === count,
      PATIENCE,
      () => `${count}: ${JSON.stringify(sent)}`,
    )

  afterEach(() => {
    sent.length = 0
    waiting.length = 0
  })

  it('one thing at a time, and of those that came meanwhile the last', async () => {
    const choices = laneChoices()
    choices.without(['child.pc1.0'])
    choices.begin(client, choices.now)
    expect(sent).toEqual([])
    choices.without([])
    choices.without(['child.pc1.0'])
    choices.without(['child.pc1.1'])
    await toldOf(1)
    sent[0]?.end()
    await toldOf(2)
    expect(sent.map((one) => one.choices)).toEqual([CHOICES, { ...CHOICES, pc1: [FIRST] }])
  })

  it('again, when it could not be, unless the way to it is closed', async () => {
    const choices = laneChoices()
    choices.begin(client, CHOICES)
    choices.without(['child.pc1.0'])
    sent[0]?.end(new Error('gone'))
    await until(() => waiting.length === 1, PATIENCE, 'the time of the next try')
    // As it was: but who knows what the pool has.
    choices.without([])
    waiting[0]?.()
    await toldOf(2)
    expect(sent[1]?.choices).toEqual(CHOICES)
    sent[1]?.end(new Error('gone'))
    await until(() => waiting.length === 2, PATIENCE, 'the time of the next try')
    choices.end()
    choices.without(['child.pc1.0'])
    choices.begin(client, CHOICES)
    await toldOf(3)
    expect(sent[2]?.choices).toEqual({ ...CHOICES, pc1: [SECOND] })
  })
})

describe('with children that die', () => {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-lanes-'))
  const sick = (n: number) => join(directory, `sick-${n}`)
  let manager: FakeManager
  let daemon: Daemon
  let port: number

  afterEach(async () => {
    await daemon.stop()
    await manager.stop()
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  })

  async function begin(): Promise<void> {
    // One that starts only while it is not sick.
    const child = (n: number, lock: string) => `
[[processors.pc1]]
bin = "/bin/sh"
args = ["-c", "test ! -e ${sick(n)} && exec ${process.execPath} ${CHILD} pc1"]
locks = ["${lock}"]
stable_wait = "20s"
`
    const text = `
[worker]
name = "w1"
rpc_server.port = 0
[sector_manager]
rpc_client.addr = "${manager.url}"
[troupe]
data = "${join(directory, 'data')}"
http = "127.0.0.1:${port}"
[[sealing_thread]]
location = "${join(directory, 'store')}"
${child(0, 'a')}${child(1, 'b')}`
    const config = parseWorkerConfig(text, join(directory, 'worker.toml'))
    daemon = await Daemon.of(config, { apps: sealingApps, log })
    await daemon.start()
  }

  async function optionsNow(): Promise<string[][]> {
    const answer = await fetch(`http://127.0.0.1:${port}/pools/w1~sealing`)
    return ((await answer.json()) as { choices: Record<string, string[][]> }).choices['pc1'] ?? []
  }

  const laneOf = (n: number) => (daemon.health()['children'] as LaneReport[])[n]

  /** As a pool of both children has it, or of one of them. */
  async function granted(...lanes: number[]): Promise<void> {
    const wanted = JSON.stringify(lanes.map((n) => `child.pc1.${n}`))
    const now = async () => JSON.stringify((await optionsNow()).map((names) => names[1]))
    await until(
      async () => (await now()) === wanted,
      PATIENCE,
      async () => `${wanted}: ${await now()}`,
    )
  }

  async function fallIll(n: number): Promise<void> {
    await until(
      () => laneOf(n)?.state === 'ready',
      PATIENCE,
      () => JSON.stringify(laneOf(n)),
    )
    writeFileSync(sick(n), '')
    process.kill(laneOf(n)?.pid ?? Number.NaN, 'SIGKILL')
  }

  it('it is taken out of the choices and put back; where all are down, all stay, over a restart', async () => {
    mkdirSync(directory, { recursive: true })
    const free = createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    port = (free.address() as AddressInfo).port
    await new Promise((resolve) => free.close(resolve))
    manager = await FakeManager.start()
    await begin()
    await granted(0, 1)
    await fallIll(0)
    await granted(1)
    await fallIll(1)
    await granted(0, 1)
    rmSync(sick(1))
    await granted(1)
    await daemon.stop()
    await begin()
    await granted(1)
    expect(existsSync(sick(0))).toBe(true)
    rmSync(sick(0))
    await granted(0, 1)
  })
})
