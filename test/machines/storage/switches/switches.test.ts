/** The switches in an engine under a virtual clock: first values, changes, subscribers, a crash. */
import { beforeEach, expect, it } from 'vitest'
import {
  SWITCH_NAMES,
  SWITCHES_ADDRESS,
  Switches,
  switchMachines,
} from '../../../../machines/storage/switches/index.ts'
import { silentLog } from '../../../../src/adapters/system/index.ts'
import type { Harness } from '../../../shard/harness.ts'
import { change, code, get, host, open, restart, send, start } from '../../../shard/support.ts'

/** Takes down what it is told. */
const user = host(
  'user',
  {
    on: { SWITCH: { actions: 'note' }, END: { target: '.over' } },
    initial: 'on',
    states: { on: {}, over: { type: 'final' } },
  },
  {
    actions: {
      note: change(({ context, event }) => ({
        seen: [...context.seen, `${event['name']} ${event['isOn']}`],
      })),
    },
  },
)
const MACHINES = [...switchMachines, user]
const CLOSED = Object.fromEntries(SWITCH_NAMES.map((name) => [name, false]))

let h: Harness
let switches: Switches
const switchesOf = (on: Harness) =>
  new Switches({ client: on.client, clock: on.clock, log: silentLog })

beforeEach(async () => {
  h = open(MACHINES)
  await start(h, SWITCHES_ADDRESS)
  switches = switchesOf(h)
})

async function told(address: string): Promise<string[]> {
  await h.advance(100)
  return ((await get(h, address)).context as { seen: string[] }).seen
}

it('is closed as it comes, and opened by name', async () => {
  expect(await h.run(switches.all())).toEqual(CLOSED)
  expect(await h.run(switches.set('balance', true))).toEqual({ ...CLOSED, balance: true })
  expect(await h.run(switches.isOn('balance'))).toBe(true)
  expect(await h.run(switches.isOn('disk_drop'))).toBe(false)
  expect((await get(h, SWITCHES_ADDRESS)).index).toEqual({ ...CLOSED, balance: true })
  expect(await code(h, switches.set('manual_migrate' as never, true))).toBe('invalid-event')
})

it('the configuration opens what was never set, and nothing that an operator has closed', async () => {
  await h.run(switches.set('balance', false))
  await h.run(switches.daemon(['balance', 'shard_repair']).start())
  expect(await h.run(switches.all())).toEqual({ ...CLOSED, shard_repair: true })
  // Another node, or the same one with another configuration.
  await h.run(switches.set('shard_repair', false))
  await h.run(switchesOf(h).daemon(['shard_repair', 'disk_drop']).start())
  expect(await h.run(switches.all())).toEqual(CLOSED)
})

it('a node starts while the switches cannot be reached, and says their first values when they can', async () => {
  h = open(MACHINES)
  const daemon = switchesOf(h).daemon(['balance'])
  await h.run(daemon.start())
  await start(h, SWITCHES_ADDRESS)
  await h.advance(2_000)
  expect((await get(h, SWITCHES_ADDRESS)).index).toEqual({ ...CLOSED, balance: true })
  await h.run(daemon.stop())
})

it('who subscribed is told the present values, then every change once, also over a crash', async () => {
  await start(h, 'user/all')
  await start(h, 'user/one')
  await h.run(switches.set('disk_drop', true))
  await send(h, SWITCHES_ADDRESS, 'SUBSCRIBE', { address: 'user/all' })
  await send(h, SWITCHES_ADDRESS, 'SUBSCRIBE', { address: 'user/one', names: ['balance'] })
  const first = SWITCH_NAMES.map((name) => `${name} ${name === 'disk_drop'}`)
  expect(await told('user/all')).toEqual(first)
  await h.run(switches.set('balance', true))
  await h.run(switches.set('balance', true))
  h = restart(h, MACHINES)
  await h.run(switchesOf(h).set('disk_drop', false))
  await h.run(switchesOf(h).set('balance', false))
  const changes = ['balance true', 'disk_drop false', 'balance false']
  expect(await told('user/all')).toEqual([...first, ...changes])
  expect(await told('user/one')).toEqual(['balance false', 'balance true', 'balance false'])
})

it('who is gone is forgotten, and who asked to be is', async () => {
  await start(h, 'user/a')
  await start(h, 'user/b')
  for (const id of ['a', 'b', 'never']) {
    await send(h, SWITCHES_ADDRESS, 'SUBSCRIBE', { address: `user/${id}` })
  }
  await h.advance(100)
  await send(h, 'user/a', 'END')
  await send(h, SWITCHES_ADDRESS, 'UNSUBSCRIBE', { address: 'user/b' })
  await h.run(switches.set('balance', true))
  await h.advance(100)
  const { context } = await get(h, SWITCHES_ADDRESS)
  expect((context as { subscribers: object }).subscribers).toEqual({})
  expect(await told('user/b')).not.toContain('balance true')
})

it('a node goes by what is a quarter of a second old at most', async () => {
  const other = switchesOf(h)
  expect(await h.run(other.isOn('balance'))).toBe(false)
  await h.run(switches.set('balance', true))
  expect(await h.run(other.isOn('balance'))).toBe(false)
  await h.advance(251)
  expect(await h.run(other.isOn('balance'))).toBe(true)
})

it('a read that was begun before a change does not undo it', async () => {
  await h.advance(1_000)
  const reading = switches.isOn('balance')
  await h.run(switches.set('balance', true))
  await h.run(reading)
  expect(await h.run(switches.isOn('balance'))).toBe(true)
})

it('is not set while an operator has paused it', async () => {
  await h.run(h.client.pause(SWITCHES_ADDRESS))
  expect(await code(h, switches.set('balance', true))).toBe('unavailable')
})
