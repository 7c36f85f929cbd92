/** The README's program that is no node, run as a reader would, against a node of a cluster. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine } from '../../src/machine/index.ts'
import { defineApp } from '../../src/node/index.ts'
import { missingNatsServer, startNatsServer } from '../nats-server.ts'
import { NatsRig } from '../node/nats-rig.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Inside the package, so that `troupe` is found; built files are there anyway. */
const PLACE = join(ROOT, 'dist', 'readme-client')

const counter = defineMachine({
  machine: setup({
    types: { context: {} as { n: number }, events: {} as { type: 'ADD'; by: number } },
    actions: { add: assign({ n: ({ context, event }) => context.n + event.by }) },
  }).createMachine({ id: 'counter', context: { n: 0 }, on: { ADD: { actions: 'add' } } }),
  events: { ADD: z.object({ by: z.number() }) },
})

beforeAll(() => mkdirSync(PLACE, { recursive: true }))
afterAll(() => rmSync(PLACE, { recursive: true, force: true }))

/** The second of the README, with the server of this test. */
function exampleAt(url: string): string {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const code = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)][1]?.[1]
  const [line] = /nats:\/\/127\.0\.0\.1:4222/.exec(code ?? '') ?? []
  if (code === undefined || line === undefined) throw new Error('the README has no such example')
  return code.replace(line, url)
}

test.skipIf(missingNatsServer)('the example speaks to an actor and ends', async () => {
  if (!existsSync(join(ROOT, 'dist/src/index.js'))) throw new Error('run npm run build first')
  const rig = new NatsRig(await startNatsServer())
  try {
    const node = await rig.start('n1', [defineApp({ name: 'counters', machines: [counter] })])
    writeFileSync(join(PLACE, 'client.ts'), exampleAt(rig.server.url))
    const argv = ['--import', 'tsx', 'client.ts']
    const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: PLACE })
    expect(stdout).toBe('state 2\n')
    expect((await node.client.get('counter/a')).context).toEqual({ n: 2 })
    expect(await node.client.history('counter/a', { limit: 1 })).toMatchObject([{ by: 'shop' }])
  } finally {
    await rig.close()
  }
})
