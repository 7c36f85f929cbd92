/** What is a command, and what is not: judged before anything else looks at it. */
import { describe, expect, it } from 'vitest'
import {
  checkCommand,
  clipText,
  DEFAULT_LIMITS,
  messageOfThrown,
  nestsDeeper,
  pack,
  TEXT_CHARS_MAX,
  unpack,
  whyUnpackable,
} from '../../src/protocol/index.ts'

const check = (command: object) =>
  checkCommand({ address: 'm/1', ...command }, DEFAULT_LIMITS) as {
    command?: Record<string, unknown>
    error?: { code: string; message: string }
  }
const task = { taskId: 't', token: 'x' }
const failure = { class: 'permanent', message: 'why', code: 'c', detail: { a: 1 } }

describe('every operation', () => {
  it.each<[object]>([
    [{ op: 'start', input: { a: 1 } }],
    [{ op: 'start' }],
    [{ op: 'send', event: { type: 'GO', any: 'thing' } }],
    [{ op: 'pause', reason: 'r', interrupt: true, timers: 'run' }],
    [{ op: 'resume', state: 's', retry: true }],
    [{ op: 'patch', merge: null }],
    [{ op: 'cancel', reason: 'r' }],
    [{ op: 'delete' }],
    [{ op: 'get' }],
    [{ op: 'history', limit: 1, beforeTurn: 2 }],
    [{ op: 'events' }],
    [{ op: 'task.start', taskId: 't', worker: 'w' }],
    [{ op: 'task.attach', ...task, worker: 'w' }],
    [{ op: 'task.beat', ...task, progress: [1] }],
    [{ op: 'task.done', ...task, output: new Map() }],
    [{ op: 'task.failed', ...task, failure }],
  ])('%j is taken with all of its fields, with those of the envelope, and no other', (command) => {
    const when = { state: 's', tag: 't', condition: 'parked', olderThanMs: 1, where: { a: null } }
    const sent = { id: 'i', author: 'a', timeoutMs: 1, durability: 'flushed', dryRun: false }
    const envelope = { ...sent, when }
    expect(check({ ...command, ...envelope }).command).toEqual({
      address: 'm/1',
      ...command,
      ...envelope,
    })
    expect(check({ ...command, absent: undefined }).error).toBeUndefined()
    for (const name of ['odd', 'constructor', 'leaseMs']) {
      const { error } = check({ ...command, [name]: 1 })
      expect([error?.code, error?.message]).toEqual(['malformed', expect.stringContaining(name)])
    }
  })

  it.each<[unknown]>([
    ['open'],
    [null],
    [{ state: 1 }],
    [{ olderThanMs: -1 }],
    [{ machine: 'order' }],
    [{ constructor: 'x' }],
    [{ where: 'a' }],
    [{ where: { a: [] } }],
  ])('is refused with %j as what the actor has to be', (when) => {
    const { error } = check({ op: 'delete', when })
    expect([error?.code, error?.message]).toEqual(['malformed', expect.stringContaining('"when"')])
  })

  it('has a name', () => {
    for (const op of ['fly', 'constructor', '__proto__', 5, undefined, null])
      expect(check({ op }).error?.code).toBe('malformed')
  })
})

describe('a failure', () => {
  it('has a short message; a long one is cut', () => {
    const given = { ...failure, message: 'e'.repeat(500_000) }
    const { command } = check({ op: 'task.failed', ...task, failure: given })
    expect(command?.['failure']).toEqual({
      ...failure,
      message: expect.stringMatching(/^eee.*\(cut\)$/),
    })
    expect(command).toHaveProperty('failure.message.length', TEXT_CHARS_MAX)
  })

  it('has a code that is a text', () => {
    const given = { ...failure, code: {} }
    expect(check({ op: 'task.failed', ...task, failure: given }).error?.code).toBe('malformed')
  })
})

describe('nesting', () => {
  const wraps: [string, (inner: unknown) => unknown][] = [
    ['lists', (inner) => [inner]],
    ['objects', (inner) => ({ inner })],
    ['Maps', (inner) => new Map([[1, inner]])],
    ['keys of Maps', (inner) => new Map([[inner, 1]])],
    ['Sets', (inner) => new Set([inner])],
  ]
  const nest = (wrap: (inner: unknown) => unknown, levels: number) => {
    let value: unknown = 0
    for (let level = 0; level < levels; level++) value = wrap(value)
    return value
  }

  it.each(wraps)('of %s is counted', (_name, wrap) => {
    expect(nestsDeeper(nest(wrap, 5), 5)).toBe(false)
    expect(nestsDeeper(nest(wrap, 6), 5)).toBe(true)
    expect(nestsDeeper(nest(wrap, 100_000), 5)).toBe(true)
  })

  it('what lies in its limit can be packed with room to spare', () => {
    const { nestingMax } = DEFAULT_LIMITS
    for (const [, wrap] of wraps) {
      const value = nest(wrap, 4 * nestingMax)
      expect(nestsDeeper(unpack(pack(value)), nestingMax)).toBe(true)
    }
  })

  it('bytes and texts are one value', () => {
    expect(nestsDeeper([new Uint8Array(1_000_000), 'x', 1n, null], 1)).toBe(false)
  })
})

it('a text is cut only when it is long', () => {
  expect(clipText('x'.repeat(TEXT_CHARS_MAX))).toBe('x'.repeat(TEXT_CHARS_MAX))
  expect(clipText('x'.repeat(TEXT_CHARS_MAX + 1))).toHaveLength(TEXT_CHARS_MAX)
})

it('whatever is thrown has words, and whatever is packed has a reason why not', () => {
  const words = (thrown: unknown) => messageOfThrown(thrown)
  expect(words(new Error('m'))).toBe('m')
  expect(words({ message: 'm' })).toBe('m')
  expect(words('m')).toBe('m')
  expect(words(null)).toBe('null')
  expect(words(Symbol('s'))).toBe('Symbol(s)')
  expect(words(Object.create(null))).toContain('no text')
  expect(words({ message: Object.create(null) })).toContain('no text')
  expect(whyUnpackable({ a: 1 })).toBeUndefined()
  expect(whyUnpackable({ f: () => 0 })).toContain('a function')
})
