/** Commands for shards of the own process: what goes without a transport, and what a transport's promise is there. */
import { describe, expect, it } from 'vitest'
import { MemoryTransport, SeededRandom, VirtualClock } from '../../src/adapters/memory/index.ts'
import { Client } from '../../src/client/index.ts'
import type { NearShard } from '../../src/ports/index.ts'
import {
  type Command,
  errorRecord,
  type Limits,
  type Outcome,
  pack,
  resolveLimits,
  subjectsOf,
  TroupeError,
  unpack,
} from '../../src/protocol/index.ts'

const OK: Outcome = { ok: { address: 'm/x', turn: 1 }, durability: 'flushed' }
const MOVED: Outcome = { error: errorRecord('moved', 'away') }
const PLAIN = 20

function rig({ answerMs, limits }: { answerMs?: number; limits?: Partial<Limits> } = {}) {
  const clock = new VirtualClock()
  const transport = new MemoryTransport({ clock })
  const subjects = subjectsOf('test')
  const near: string[] = []
  const far: string[] = []
  const ids = new Set<string | undefined>()
  /** Answers to each of those here once more, or at last. */
  const late: (() => void)[] = []
  const note = (way: string[], commands: readonly Command[]) => {
    for (const command of commands) {
      ids.add(command.id)
      way.push(command.op === 'send' ? command.event.type : command.op)
    }
  }
  let here: NearShard | undefined
  const told: unknown[] = []
  let toldWithin = 0
  /** The shard is served by this process, until the returned call. */
  const serveHere = (answer: (commands: readonly Command[]) => Outcome[] | undefined) => {
    const own: NearShard = {
      take: (commands, _bytes, done) => {
        note(near, commands)
        late.push(() => done(commands.map(() => OK)))
        const outcomes = answer(commands)
        if (outcomes) done(outcomes)
        toldWithin += told.length
      },
    }
    here = own
    return () => {
      here = undefined
    }
  }
  const serveElsewhere = (answer: (commands: Command[]) => Outcome[] | undefined) =>
    transport.subscribe(subjects.shard(0), {}, ({ payload, reply }) => {
      const commands = unpack(payload) as Command[]
      note(far, commands)
      const outcomes = answer(commands)
      if (outcomes) reply?.(pack(outcomes))
    })
  const client = new Client({
    ...{ transport, subjects, clock, random: new SeededRandom(1), shardCount: 1 },
    ...{ limits: resolveLimits(limits), near: { of: () => here } },
    ...(answerMs !== undefined && { answerMs }),
  })
  const send = (type: string, bytes: number | undefined = PLAIN) => {
    const again = () => ({ op: 'send' as const, event: { type } })
    client.submit(
      'm/x',
      again(),
      { plain: { bytes, again } },
      {
        resolve: (value) => void told.push(value),
        reject: (error) => void told.push(error instanceof TroupeError ? error.code : error),
      },
    )
  }
  const withinCall = () => toldWithin
  return { clock, client, withinCall, near, far, ids, late, told, serveHere, serveElsewhere, send }
}

const all = (commands: readonly Command[]) => commands.map(() => OK)

it('is handed over as it is, all of one turn in order, and says how sure its answer is', async () => {
  const { clock, near, far, told, serveHere, serveElsewhere, send } = rig()
  serveElsewhere(all)
  serveHere(all)
  for (const type of ['A', 'B', 'C']) send(type)
  await clock.settle()
  expect(near).toEqual(['A', 'B', 'C'])
  expect(far).toEqual([])
  expect(told).toHaveLength(3)
  expect(told[0]).toMatchObject({ turn: 1, durability: 'flushed' })
})

describe('travels all the same', () => {
  it('what others may change, and whatever is sent with it', async () => {
    const { clock, client, near, far, serveHere, serveElsewhere, send } = rig()
    serveElsewhere(all)
    serveHere(all)
    const sent = client.send('m/x', { type: 'A' })
    send('B')
    await clock.settle()
    await sent
    expect([near, far]).toEqual([[], ['A', 'B']])
  })

  it('what may be too large once it is packed', async () => {
    const limits = { payloadBytesMax: 10_000 }
    const { clock, near, far, serveHere, serveElsewhere, send } = rig({ limits })
    serveElsewhere(all)
    serveHere(all)
    send('small', 1_000)
    await clock.settle()
    send('large', 4_000)
    await clock.settle()
    expect([near, far]).toEqual([['small'], ['large']])
  })

  it('what would overtake what has left already', async () => {
    const { clock, near, far, serveHere, serveElsewhere, send } = rig({ answerMs: 1_000 })
    let isSilent = true
    const elsewhere = serveElsewhere((commands) => (isSilent ? undefined : all(commands)))
    send('A')
    await clock.settle()
    serveHere(all)
    send('B')
    await clock.settle()
    expect([near, far], 'the first may still arrive').toEqual([[], ['A', 'B']])
    isSilent = false
    elsewhere.unsubscribe()
    await clock.settle(2_000)
    expect(near).toEqual(['A', 'B'])
  })
})

it('follows a shard that moves away, under the same id', async () => {
  const { clock, near, far, ids, told, serveHere, serveElsewhere, send } = rig()
  const leave = serveHere((commands) => commands.map(() => MOVED))
  send('A')
  send('B')
  await clock.settle()
  expect(told).toEqual([])
  leave()
  serveElsewhere(all)
  await clock.settle(1_000)
  expect([near, far]).toEqual([
    ['A', 'B'],
    ['A', 'B'],
  ])
  expect(told).toHaveLength(2)
  expect(ids.size).toBe(2)
})

it('is asked for again as it was read, whatever became of it where it was handed', async () => {
  const { clock, far, ids, serveHere, serveElsewhere, send } = rig()
  const leave = serveHere((commands) => {
    for (const command of commands) if (command.op === 'send') command.event.type = 'CHANGED'
    return commands.map(() => MOVED)
  })
  send('A')
  await clock.settle()
  leave()
  serveElsewhere(all)
  await clock.settle(1_000)
  expect(far).toEqual(['A'])
  expect(ids.size).toBe(1)
})

it('is asked again under the same id when whoever took it is gone without a word', async () => {
  const { clock, far, ids, told, serveHere, serveElsewhere, send } = rig({ answerMs: 5_000 })
  const leave = serveHere(() => undefined)
  send('A')
  await clock.settle(50)
  leave()
  serveElsewhere(all)
  await clock.settle(300)
  expect(far).toEqual(['A'])
  expect(told).toHaveLength(1)
  expect(ids.size).toBe(1)
})

it('is asked again when no answer comes in time, and a late answer is nobody’s', async () => {
  const { clock, near, ids, late, told, serveHere, send } = rig({ answerMs: 1_000 })
  serveHere((commands) => (near.length < 2 ? undefined : all(commands)))
  send('A')
  await clock.settle(800)
  expect(near).toEqual(['A'])
  await clock.settle(500)
  expect(near).toEqual(['A', 'A'])
  for (const call of late) call()
  expect(told).toHaveLength(1)
  expect(ids.size).toBe(1)
})

it('is told no-answer at the end of its time, once', async () => {
  const { clock, late, told, serveHere, send } = rig({ limits: { requestTimeoutMs: 2_000 } })
  serveHere(() => undefined)
  send('A')
  await clock.settle(1_500)
  expect(told).toEqual([])
  await clock.settle(1_000)
  expect(told).toEqual(['no-answer'])
  for (const call of late) call()
  await clock.settle(5_000)
  expect(told).toHaveLength(1)
})

it('is told later than the shard says it: what its caller does then is not done within the shard', async () => {
  const { clock, told, withinCall, serveHere, send } = rig()
  serveHere(all)
  send('A')
  await clock.settle()
  expect([told.length, withinCall()]).toEqual([1, 0])
})

it('leaves no timer behind once all is answered', async () => {
  const { clock, serveHere, send } = rig()
  serveHere(all)
  send('A')
  await clock.settle(1_000)
  expect(clock.advanceToNext()).toBe(false)
})
