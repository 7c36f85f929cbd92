/** What a command writes can be read on every node, whichever it runs on. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { setup } from 'xstate'
import { z } from 'zod'
import { defineApp, defineMachine, LogStore, runProcess, task } from '../../src/index.ts'
import { until } from '../waiting.ts'
import { ClusterRig, type RigNode } from './cluster-rig.ts'

interface Words {
  words: string
}

const sh = task<Words, number | null>({
  name: 'sh',
  reattach: true,
  retry: { attemptsMax: 3, initialMs: 10 },
  run: async (attempt) => {
    const { code } = await runProcess(attempt, { command: { shell: attempt.input.words } })
    if (code !== 0) throw new Error(`it ended with ${code}`)
    return code
  },
})

const shell = defineMachine({
  machine: setup({
    types: { context: {} as Words, input: {} as Words },
    actors: { sh },
  }).createMachine({
    id: 'shell',
    context: ({ input }) => input,
    initial: 'running',
    states: {
      running: {
        invoke: { src: 'sh', input: ({ context }) => context, onDone: 'end', onError: 'end' },
      },
      end: { type: 'final' },
    },
  }),
  input: z.object({ words: z.string() }),
  events: {},
})

let rig: ClusterRig
let nodes: RigNode[]

beforeAll(async () => {
  rig = new ClusterRig([defineApp({ name: 'shells', machines: [shell] })])
  nodes = await rig.startAll('a', 'b', 'c')
  await rig.settled()
})

afterAll(() => rig.close())

const runsOf = ({ node }: RigNode) => node.apps[0]!.context.runs

async function output(at: RigNode, address = 'shell/1'): Promise<string> {
  const directory = await runsOf(at).latest(address)
  if (directory === undefined) return ''
  const { clock, log } = at.node
  const { text } = await new LogStore({ clock, log }).of(directory).read({ stream: 'stdout' })
  return text
}

const done = (at: RigNode, address = 'shell/1') =>
  at.node.client.waitFor(address, ({ status }) => status === 'done', { timeoutMs: 15_000 })

it('while it runs, and when it has ended', async () => {
  const gate = join(rig.directory, 'gate')
  const words = `echo one; while [ ! -e ${gate} ]; do sleep 0.02; done; echo two`
  await nodes[0]!.node.client.start('shell/1', { words })
  const wrote = async () => (await output(nodes[0]!)) === 'one\n'
  await until(wrote, { timeoutMs: 10_000 }, 'it writes')
  for (const node of nodes) expect(await output(node)).toBe('one\n')
  writeFileSync(gate, '')
  await done(nodes[0]!)
  for (const node of nodes) {
    expect(await output(node)).toBe('one\ntwo\n')
    const [run, ...others] = await runsOf(node).all('shell/1')
    expect(others).toEqual([])
    expect(readFileSync(join(run!.directory, 'exit'), 'utf8')).toMatch(/^0 /)
  }
})

it('all of it, and nothing twice, when many read at once', async () => {
  const words = 'i=0; while [ $i -lt 120000 ]; do echo $i; i=$((i+1)); done'
  await nodes[0]!.node.client.start('shell/2', { words })
  await done(nodes[0]!, 'shell/2')
  const whole = Array.from({ length: 120_000 }, (_, n) => `${n}\n`).join('')
  for (const node of nodes) {
    const directories = await Promise.all([1, 2, 3].map(() => runsOf(node).latest('shell/2')))
    for (const directory of directories) {
      expect(readFileSync(join(directory!, 'stdout'), 'utf8') === whole).toBe(true)
    }
  }
})

it('attempts that ran on several nodes stand in their order', async () => {
  const mark = join(rig.directory, 'mark')
  // Each attempt but the third fails.
  const words = `echo x >> ${mark}; wc -l < ${mark}; [ $(wc -l < ${mark}) -ge 3 ]`
  await nodes[0]!.node.client.start('shell/3', { words })
  await done(nodes[0]!, 'shell/3')
  for (const node of nodes) {
    const runs = await runsOf(node).all('shell/3')
    expect(runs.map(({ number }) => number)).toEqual([1, 2, 3])
    expect((await output(node, 'shell/3')).trim()).toBe('3')
  }
})

it('what lies on a node that is gone is not there, and what was read before is', async () => {
  await nodes[0]!.node.client.start('shell/4', { words: 'echo here' })
  await done(nodes[0]!, 'shell/4')
  await until(
    async () => (await output(nodes[0]!, 'shell/4')) !== '',
    { timeoutMs: 20_000 },
    'it is read',
  )
  for (const other of nodes.slice(1)) other.kill()
  await rig.settled()
  expect(await output(nodes[0]!, 'shell/4')).toBe('here\n')
  expect(await output(nodes[0]!, 'shell/0')).toBe('')
})
