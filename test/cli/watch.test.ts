/** `troupe actors watch` against a real node: lines as things happen, also across a broken connection. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parsed, type SentEvent } from '../../src/cli/event-source.ts'
import { createGateway, type Gateway } from '../../src/gateway/index.ts'
import { type Rig, startRig } from '../gateway/rig.ts'
import { until } from '../waiting.ts'
import { type Ran, run } from './rig.ts'

let rig: Rig
let again: Gateway | undefined
let interrupt: AbortController
let out: string
beforeEach(async () => {
  rig = await startRig()
  interrupt = new AbortController()
  out = ''
})
afterEach(async () => {
  interrupt.abort()
  await again?.close()
  again = undefined
  await rig.close()
})

function watch(...argv: string[]): Promise<Ran> {
  return run(['actors', 'watch', ...argv], {
    env: { TROUPE_HTTP: rig.gateway.url },
    interrupt: interrupt.signal,
    onOut: (all) => {
      out = all
    },
  })
}

const says = (text: string | RegExp) =>
  until(
    () => (typeof text === 'string' ? out.includes(text) : text.test(out)),
    { timeoutMs: 15_000 },
    () => `${text} in:\n${out}`,
  )
const lines = () =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\d\d:\d\d:\d\d {2}/, ''))

describe('of one actor', () => {
  it('tells every transition, and ends when the actor is removed', async () => {
    await rig.start('1')
    const watching = watch('order/1')
    await says('order/1  draft  active')
    await rig.node.client.send('order/1', { type: 'OPEN', amount: 5 })
    await says('order/1  draft → open  OPEN, turn 2')
    await rig.node.client.delete('order/1')
    expect(await watching).toMatchObject({ code: 0, err: '' })
    expect(lines().at(-1)).toBe('order/1  removed')
  })

  it('goes on where it was when the connection broke off, and tells nothing twice', async () => {
    await rig.start('1')
    const watching = watch('order/1')
    await says('order/1  draft  active')
    const { port } = rig.gateway
    await rig.gateway.close({ graceMs: 0 })
    await rig.node.client.send('order/1', { type: 'OPEN', amount: 5 })
    await rig.node.client.send('order/1', { type: 'ASK' })
    again = await createGateway({ node: rig.node, port })
    await says('turn 3')
    interrupt.abort()
    const { code, err } = await watching
    expect(code).toBe(130)
    expect(err).toMatch(/^broken off: .*; trying again\n$/)
    expect(lines()).toEqual([
      'order/1  draft  active',
      'order/1  draft → open  OPEN, turn 2',
      'order/1  open  ASK, turn 3',
    ])
  })
})

describe('of a list', () => {
  it('tells rows as they come, change and go, until Ctrl-C', async () => {
    await rig.start('1')
    const watching = watch('--machine', 'order', '--state', 'draft')
    await says('order/1  draft  active')
    await rig.start('2')
    await says('order/2  draft  active')
    await rig.node.client.send('order/1', { type: 'OPEN', amount: 5 })
    await says('order/1  gone')
    interrupt.abort()
    expect(await watching).toMatchObject({ code: 130, err: '' })
  })

  it('only of changes when asked to, as JSON a line', async () => {
    await rig.start('1')
    const watching = watch('--changes', '--json')
    await says('"live"')
    await rig.start('2')
    await says('order/2')
    interrupt.abort()
    await watching
    const events = lines().map((line) => JSON.parse(line) as SentEvent)
    expect(events.map(({ event }) => event)).toEqual(['live', 'row'])
    expect(events[1]?.data).toMatchObject({ address: 'order/2', value: 'draft' })
  })
})

it('says what cannot be watched', async () => {
  expect(await watch('order/nobody')).toMatchObject({ code: 4, out: '' })
  expect((await watch('order/1', '--machine', 'order')).err).toMatch(/an actor or give filters/)
  const nowhere = await watch('--state', 'nowhere', '--machine', 'order')
  expect([nowhere.code, nowhere.err]).toEqual([1, expect.stringContaining('nowhere')])
  const nobody = await run(['actors', 'watch', '--http', 'http://127.0.0.1:1'])
  expect(nobody.code).toBe(3)
})

it('reads events however they are cut', async () => {
  const text =
    ':\n\nid: 1\nevent: row\ndata: {"a":"ä"}\n\n:\nid: 2\n\nevent: x\ndata: [1,\ndata: 2]\n\nevent: half'
  const bytes = Buffer.from(text)
  for (const size of [1, 3, 1_000]) {
    const pieces = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const found: SentEvent[] = []
    for await (const sent of parsed(pieces())) found.push(sent)
    expect(found).toEqual([
      { event: 'row', data: { a: 'ä' }, id: '1' },
      { event: '', data: undefined, id: '2' },
      { event: 'x', data: [1, 2], id: undefined },
    ])
  }
})
