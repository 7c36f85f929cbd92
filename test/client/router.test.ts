/** What is sent together, and what is tried again. */
import { describe, expect, it, test } from 'vitest'
import { MemoryTransport, SeededRandom, VirtualClock } from '../../src/adapters/memory/index.ts'
import { Client } from '../../src/client/index.ts'
import {
  type Command,
  errorRecord,
  type Outcome,
  pack,
  resolveLimits,
  type ShardQuery,
  subjectsOf,
  TroupeError,
  unpack,
} from '../../src/protocol/index.ts'

function rig(
  answer: (commands: Command[], request: number) => Outcome[] | undefined,
  tries: { answerMs?: number } = {},
) {
  const clock = new VirtualClock()
  const transport = new MemoryTransport({ clock })
  const subjects = subjectsOf('test')
  const limits = resolveLimits()
  const requests: Command[][] = []
  transport.subscribe(subjects.shard(0), {}, ({ payload, reply }) => {
    const commands = unpack(payload) as Command[]
    requests.push(commands)
    const outcomes = answer(commands, requests.length)
    if (outcomes) reply?.(pack(outcomes))
  })
  const client = new Client({
    transport,
    subjects,
    clock,
    random: new SeededRandom(1),
    limits,
    shardCount: 1,
    ...tries,
  })
  return { clock, client, requests }
}

const MOVED: Outcome = { error: errorRecord('moved', 'away') }
const OK: Outcome = { ok: { turn: 1 }, durability: 'flushed' }

test('what is asked in one turn of the event loop travels in one request, in order', async () => {
  const { clock, client, requests } = rig((commands) => commands.map(() => OK))
  const sent = Promise.all(['A', 'B', 'C'].map((type) => client.send('m/x', { type })))
  await clock.settle()
  await sent
  expect(requests).toHaveLength(1)
  expect(requests[0]?.map((command) => command.op === 'send' && command.event.type)).toEqual([
    'A',
    'B',
    'C',
  ])
})

test('each try says how long its caller still waits', async () => {
  const unavailable: Outcome = { error: errorRecord('unavailable', 'not now') }
  const { clock, client, requests } = rig((_commands, request) => [request < 3 ? unavailable : OK])
  const sent = client.send('m/x', { type: 'A' }, { timeoutMs: 500 })
  await clock.settle(1_000)
  await sent
  expect(requests.map(([command]) => command?.timeoutMs)).toEqual([500, 490, 470])
})

test('what certainly was not applied is tried again under the same id', async () => {
  const unavailable: Outcome = { error: errorRecord('unavailable', 'not now') }
  const { clock, client, requests } = rig((_commands, request) => [request < 3 ? unavailable : OK])
  const sent = client.send('m/x', { type: 'A' })
  await clock.settle(1_000)
  await sent
  expect(requests).toHaveLength(3)
  expect(new Set(requests.map(([command]) => command?.id)).size).toBe(1)
})

test('an error that a retry cannot help is told at once', async () => {
  const { clock, client, requests } = rig(() => [{ error: errorRecord('invalid-event', 'no') }])
  const sent = client.send('m/x', { type: 'A' })
  sent.catch(() => {})
  await clock.settle(1_000)
  await expect(sent).rejects.toMatchObject({ code: 'invalid-event' })
  expect(requests).toHaveLength(1)
})

test('silence is told as silence when the time of the caller is over', async () => {
  const { clock, client } = rig(() => undefined)
  const sent = client.send('m/x', { type: 'A' }, { timeoutMs: 500 })
  sent.catch(() => {})
  await clock.settle(5_000)
  await expect(sent).rejects.toMatchObject({ code: 'no-answer', retry: true })
})

test('an answer that may be lost with a node is asked for again, ever more patiently', async () => {
  const { clock, client, requests } = rig(
    (_commands, request) => (request < 3 ? undefined : [OK]),
    { answerMs: 1_000 },
  )
  const sent = client.send('m/x', { type: 'A' })
  const atMs: number[] = []
  for (let ms = 0; ms < 5_000; ms += 100) {
    await clock.settle(100)
    if (requests.length > atMs.length) atMs.push(ms)
  }
  await sent
  expect(atMs).toEqual([0, 1_000, 3_000])
  expect(new Set(requests.map(([command]) => command?.id)).size).toBe(1)
})

test('within a process a slow answer is waited for', async () => {
  const { clock, client, requests } = rig(() => undefined)
  client.send('m/x', { type: 'A' }).catch(() => {})
  await clock.settle(29_000)
  expect(requests).toHaveLength(1)
})

test('nobody there is unavailable, within the time of the caller', async () => {
  const clock = new VirtualClock()
  const transport = new MemoryTransport({ clock })
  const client = new Client({
    transport,
    subjects: subjectsOf('test'),
    clock,
    random: new SeededRandom(1),
    limits: resolveLimits(),
    shardCount: 1,
  })
  const sent = client.send('m/x', { type: 'A' }, { timeoutMs: 2_000 })
  sent.catch(() => {})
  const begun = clock.monotonic()
  await clock.settle(5_000)
  await expect(sent).rejects.toMatchObject({ code: 'unavailable' })
  expect(clock.monotonic() - begun).toBeLessThanOrEqual(5_000)
})

describe('while nobody serves a shard', () => {
  function homeless(tries: { answerMs?: number } = {}) {
    const clock = new VirtualClock()
    const transport = new MemoryTransport({ clock })
    const subjects = subjectsOf('test')
    const requests: Command[][] = []
    const serve = (
      answer = (commands: Command[]): Outcome[] | undefined => commands.map(() => OK),
    ) =>
      transport.subscribe(subjects.shard(0), {}, ({ payload, reply }) => {
        const commands = unpack(payload) as Command[]
        requests.push(commands)
        const outcomes = answer(commands)
        if (outcomes) reply?.(pack(outcomes))
      })
    let tried = 0
    let bytes = 0
    const counting = {
      subscribe: transport.subscribe.bind(transport),
      request: (...[request, done]: Parameters<typeof transport.request>) => {
        tried += 1
        bytes += request.payload.length
        transport.request(request, done)
      },
    }
    const client = new Client({
      ...{ transport: counting, subjects, clock, random: new SeededRandom(1) },
      ...{ limits: resolveLimits(), shardCount: 1, ...tries },
    })
    return { clock, client, requests, serve, tried: () => tried, bytes: () => bytes }
  }
  const typesOf = (commands: readonly Command[] = []) =>
    commands.map((command) => (command.op === 'send' ? command.event.type : command.op))

  it('one try is made for all, often enough, and all go at once and in order', async () => {
    const { clock, client, requests, serve, tried } = homeless()
    const sent: Promise<unknown>[] = []
    for (let n = 0; n < 100; n++) {
      sent.push(client.send('m/x', { type: `${n}` }))
      await clock.settle(20)
    }
    expect(tried(), 'of a hundred in two seconds').toBeLessThan(40)
    serve()
    // At most an eighth later than it could be.
    await clock.settle(250)
    await Promise.all(sent)
    expect(requests.map((commands) => typesOf(commands))).toEqual([
      Array.from({ length: 100 }, (_, n) => `${n}`),
    ])
  })

  it('more than one request of them go in order, too, and are told the truth', async () => {
    const { clock, client, requests, serve, tried } = homeless({ answerMs: 1_000 })
    const codes = new Set<unknown>()
    const sent = Array.from({ length: 1_100 }, (_, n) => client.send('m/x', { type: `${n}` }))
    const hopeless = Array.from({ length: 600 }, () =>
      client.send('m/x', { type: 'late' }, { timeoutMs: 1_000 }).catch((thrown: unknown) => {
        codes.add(thrown instanceof TroupeError ? thrown.code : thrown)
      }),
    )
    await clock.settle(2_000)
    await Promise.all(hopeless)
    expect([...codes], 'nothing of them was ever with anybody').toEqual(['unavailable'])
    expect(tried()).toBeLessThan(60)
    serve()
    await clock.settle(1_000)
    await Promise.all(sent)
    expect(requests.flatMap((commands) => typesOf(commands))).toEqual(
      Array.from({ length: 1_100 }, (_, n) => `${n}`),
    )
  })

  it('those that have no time for the next try go alone', async () => {
    const { clock, client, bytes } = homeless()
    for (let n = 0; n < 500; n++) client.send('m/x', { type: `${n}` }).catch(() => {})
    await clock.settle(10_000)
    const before = bytes()
    for (let n = 0; n < 50; n++)
      client.send('m/x', { type: 'now' }, { timeoutMs: 5 }).catch(() => {})
    await clock.settle(1)
    expect(bytes() - before).toBeLessThan(50 * 500)
    client.close()
    await clock.settle(2_000)
  })

  it('and after a long rest it is asked often again', async () => {
    const { clock, client, serve } = homeless()
    const first = client.send('m/x', { type: 'A' }, { timeoutMs: 100 }).catch(() => {})
    await clock.settle(60_000)
    await first
    let isDone = false
    const second = client.send('m/x', { type: 'B' }).then(() => {
      isDone = true
    })
    await clock.settle(20)
    serve()
    await clock.settle(30)
    expect(isDone).toBe(true)
    await second
  })

  it('a command is told in time how it stands, also one that has no time for the next try', async () => {
    const { clock, client } = homeless()
    const begun = clock.monotonic()
    const tookMs: number[] = []
    const told = (timeoutMs: number) =>
      client.send('m/x', { type: 'A' }, { timeoutMs }).catch((thrown: { code: string }) => {
        tookMs.push(clock.monotonic() - begun)
        return thrown.code
      })
    const long = told(2_000)
    await clock.settle(1_000)
    const short = told(3)
    await clock.settle(3_000)
    expect(await Promise.all([long, short])).toEqual(['unavailable', 'unavailable'])
    expect(tookMs[0]).toBe(1_000)
    expect(tookMs[1]).toBeGreaterThan(1_750)
    expect(tookMs[1]).toBeLessThanOrEqual(2_000)
  })

  it('what was sent before is asked again under its id, not waited for', async () => {
    const { clock, client, requests, serve } = homeless({ answerMs: 60_000 })
    const before = serve(() => undefined)
    const first = client.send('m/x', { type: 'A' })
    await clock.settle(100)
    before.unsubscribe()
    const second = client.send('m/x', { type: 'B' })
    await clock.settle(100)
    serve()
    await clock.settle(200)
    await Promise.all([first, second])
    expect(requests.map((commands) => typesOf(commands))).toEqual([['A'], ['A', 'B']])
    expect(requests[1]?.[0]?.id).toBe(requests[0]?.[0]?.id)
  })

  it('what was sent before may have been applied, and that is said', async () => {
    const { clock, client, serve } = homeless({ answerMs: 60_000 })
    const before = serve(() => undefined)
    const first = client.send('m/x', { type: 'A' }, { timeoutMs: 1_000 })
    await clock.settle(100)
    before.unsubscribe()
    const second = client.send('m/x', { type: 'B' }, { timeoutMs: 1_000 })
    const codes = Promise.all(
      [first, second].map((one) => one.catch((thrown: { code: string }) => thrown.code)),
    )
    await clock.settle(2_000)
    expect(await codes).toEqual(['no-answer', 'unavailable'])
  })

  it('who lets go of it says so, and what it refused goes first to the next one', async () => {
    const { clock, client, requests, serve } = homeless()
    const leaving = serve((commands) => commands.map(() => MOVED))
    const sent: Promise<unknown>[] = []
    for (let n = 0; n < 5; n++) {
      sent.push(client.send('m/x', { type: `${n}` }))
      await clock.settle(1)
    }
    expect(
      requests.map((commands) => typesOf(commands)),
      'asked once',
    ).toEqual([['0']])
    leaving.unsubscribe()
    serve()
    await clock.settle(50)
    await Promise.all(sent)
    expect(typesOf(requests.at(-1))).toEqual(Array.from({ length: 5 }, (_, n) => `${n}`))
  })

  it('a client that is closed tries no more', async () => {
    const { clock, client, tried } = homeless()
    const sent = client.send('m/x', { type: 'A' }).catch((thrown: { code: string }) => thrown.code)
    await clock.settle(100)
    client.close()
    await clock.settle(1_000)
    expect(await sent).toBe('unavailable')
    const before = tried()
    await clock.settle(10_000)
    expect(tried()).toBe(before)
  })
})

describe('reads', () => {
  type Answer = (query: ShardQuery, question: number, shard: number) => Outcome | undefined

  function readers(answer: Answer, shardCount = 1) {
    const clock = new VirtualClock()
    const transport = new MemoryTransport({ clock })
    const subjects = subjectsOf('test')
    const questions: { shard: number; query: ShardQuery }[] = []
    for (let shard = 0; shard < shardCount; shard++) {
      transport.subscribe(subjects.query(shard), {}, ({ payload, reply }) => {
        const query = unpack(payload) as ShardQuery
        questions.push({ shard, query })
        const outcome = answer(query, questions.length, shard)
        if (outcome) reply?.(pack(outcome))
      })
    }
    const random = new SeededRandom(1)
    const limits = resolveLimits()
    const client = new Client({ transport, subjects, clock, random, limits, shardCount })
    return { clock, client, questions }
  }

  const found = (rows: unknown[]): Outcome => ({ ok: { rows, counts: [] }, durability: 'flushed' })
  const READS: [string, (client: Client, timeoutMs?: number) => Promise<unknown>][] = [
    ['list', (client, timeoutMs) => client.list({ filter: {} }, given(timeoutMs))],
    ['count', (client, timeoutMs) => client.count({}, given(timeoutMs))],
    ['audit', (client, timeoutMs) => client.audit(given(timeoutMs))],
    ['deadLetters', (client, timeoutMs) => client.deadLetters(10, given(timeoutMs))],
    ['shards', (client, timeoutMs) => client.shards(given(timeoutMs))],
  ]
  const given = (timeoutMs: number | undefined) => (timeoutMs === undefined ? {} : { timeoutMs })

  it.each(READS)('%s is asked again while its shard changes hands', async (_name, read) => {
    const codes = ['unavailable', 'moved', 'busy'] as const
    const { clock, client, questions } = readers((_query, question) => {
      const code = codes[question - 1]
      return code === undefined ? found([]) : { error: errorRecord(code, 'not now') }
    })
    const done = read(client)
    await clock.settle(1_000)
    await done
    expect(questions).toHaveLength(4)
  })

  it.each(READS)('%s ends with the time of the caller', async (_name, read) => {
    const { clock, client, questions } = readers(() => ({ error: errorRecord('moved', 'away') }))
    const begun = clock.monotonic()
    let tookMs = Number.POSITIVE_INFINITY
    const done = read(client, 2_000).catch((thrown: unknown) => {
      tookMs = clock.monotonic() - begun
      throw thrown
    })
    done.catch(() => {})
    await clock.settle(10_000)
    await expect(done).rejects.toMatchObject({ code: 'moved' })
    expect(tookMs).toBeLessThanOrEqual(2_000)
    expect(questions.length).toBeGreaterThan(3)
  })

  test('all shards together have one time, not each its own', async () => {
    let begun = 0
    // The first shards, which are asked together, take most of the time.
    const { clock, client } = readers((_query, _question, shard) => {
      const isThere = shard < 32 && clock.monotonic() - begun >= 1_200
      return isThere ? found([]) : { error: errorRecord('unavailable', 'no') }
    }, 64)
    begun = clock.monotonic()
    let tookMs = 0
    const done = client.count({}, { timeoutMs: 1_500 }).finally(() => {
      tookMs = clock.monotonic() - begun
    })
    done.catch(() => {})
    await clock.settle(60_000)
    await expect(done).rejects.toMatchObject({ code: 'unavailable' })
    expect(tookMs).toBeLessThanOrEqual(1_500)
  })

  test('what asking again cannot help is told at once', async () => {
    const { clock, client, questions } = readers(() => ({
      error: errorRecord('invalid-query', 'no'),
    }))
    const done = client.list({ filter: {} })
    done.catch(() => {})
    await clock.settle(1_000)
    await expect(done).rejects.toMatchObject({ code: 'invalid-query' })
    expect(questions).toHaveLength(1)
  })

  test('a closed client asks nothing again', async () => {
    const { clock, client, questions } = readers(() => ({ error: errorRecord('busy', 'later') }))
    client.close()
    const done = client.count()
    done.catch(() => {})
    await clock.settle(1_000)
    await expect(done).rejects.toMatchObject({ code: 'busy' })
    expect(questions).toHaveLength(1)
  })

  test('a trail without end is given up when the time is over', async () => {
    const { clock, client, questions } = readers(() => {
      clock.advance(50)
      return { ok: { rows: [], next: Uint8Array.of(1) }, durability: 'flushed' }
    })
    const done = client.audit({ timeoutMs: 1_000 })
    done.catch(() => {})
    await clock.settle(5_000)
    await expect(done).rejects.toMatchObject({
      code: 'no-answer',
      message: expect.stringContaining('too much'),
    })
    expect(questions.length).toBeLessThanOrEqual(20)
  })
})
