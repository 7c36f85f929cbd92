/** All rows of a list, however many pages it has. */
import { expect, test } from 'vitest'
import { setup } from 'xstate'
import { defineMachine } from '../../src/machine/index.ts'
import type { ActorQuery } from '../../src/protocol/index.ts'
import { Harness } from '../shard/harness.ts'

const lamp = defineMachine({
  machine: setup({}).createMachine({ id: 'lamp', initial: 'on', states: { on: {} } }),
  events: {},
})
const COUNT = 7

async function addresses({ client }: Harness, query: ActorQuery): Promise<string[]> {
  const found: string[] = []
  for await (const { address } of client.rows(query)) found.push(address)
  return found
}

test.each([1, 3, COUNT, 100])('each comes once, with pages of %i', async (limit) => {
  const harness = new Harness({ machines: [lamp] })
  const wanted = Array.from({ length: COUNT }, (_, n) => `lamp/${n}`)
  for (const address of wanted) await harness.run(harness.client.start(address))
  const query = { filter: { machine: 'lamp' }, limit }
  expect((await harness.run(addresses(harness, query))).sort()).toEqual(wanted)
})

test('begins at a cursor, and ends with those that want no more', async () => {
  const harness = new Harness({ machines: [lamp] })
  for (let n = 0; n < COUNT; n++) await harness.run(harness.client.start(`lamp/${n}`))
  const query = { filter: { machine: 'lamp' }, limit: 2 }
  const { rows, cursor } = await harness.run(harness.client.list(query))
  const rest = await harness.run(addresses(harness, { ...query, cursor: cursor ?? '' }))
  expect(rest).toHaveLength(COUNT - rows.length)
  const none = await harness.run(addresses(harness, { filter: { machine: 'nothing' } }))
  expect(none).toEqual([])
})
