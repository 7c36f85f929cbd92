/** A second copy of a command that is under way: it is told what the first one is, or nothing. */
import { describe, expect, it } from 'vitest'
import type { Command, Outcome } from '../../src/protocol/index.ts'
import { REAL } from './journaled-nodes.ts'
import { started } from './journaled-ownership.ts'

/** An owner with a command under way, whose slot is on its way; copies of it and another one wait. */
async function underWay() {
  const { nodes, a } = await started(REAL)
  const told: string[] = []
  const submit = (who: string, text: string) => {
    const id = `${nodes.clock.now()}-${text}`
    const event = { type: 'NOTE', text }
    const command: Command = { op: 'send', address: 'counter/a', id, event }
    const done = (outcome: Outcome) => void told.push(`${who} ${codeOf(outcome)}`)
    a.engine.submit(command, 100, done)
  }
  a.connection.hold()
  submit('first', 'x')
  await nodes.settle()
  submit('second', 'x')
  submit('other', 'y')
  return { nodes, a, told }
}

function codeOf(outcome: Outcome): string {
  return 'ok' in outcome ? 'ok' : outcome.error.code
}

describe('a second copy of a command', () => {
  it('is not refused when the first may have been applied', async () => {
    const { nodes, a, told } = await underWay()
    nodes.loseLast(1)
    await nodes.settle(1_000)
    expect(a.stops).toMatchObject([{ kind: 'lost', reset: true }])
    expect(told).toEqual(['other unavailable'])
  })

  it('is not refused when the node stops', async () => {
    const { nodes, a, told } = await underWay()
    a.engine.stop()
    await nodes.settle(1_000)
    expect(told).toEqual(['other unavailable'])
  })

  it('has the answer of the first when the shard is let go', async () => {
    const { nodes, a, told } = await underWay()
    a.engine.letGo('b', () => void told.push('let go'))
    expect(told).toEqual(['other moved'])
    a.connection.release()
    await nodes.settle(1_000)
    expect(told).toEqual(['other moved', 'first ok', 'second ok', 'let go'])
    expect((await nodes.owner('b')).errors()).toEqual([])
  })

  it('is refused with the first when that certainly was not applied', async () => {
    const { nodes, a, told } = await underWay()
    const b = await nodes.owner('b')
    a.connection.release()
    await nodes.settle(1_000)
    expect(told).toEqual(['first unavailable', 'second unavailable', 'other unavailable'])
    expect(await b.seen('counter/a')).toEqual([])
  })
})
