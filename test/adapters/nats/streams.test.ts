/** What is known of servers by their version, and of streams by what they say. */
import type { StreamInfo } from 'nats'
import { describe, expect, it } from 'vitest'
import {
  checkStream,
  mayBeSucceeded,
  removalOf,
  type StreamShape,
} from '../../../src/adapters/nats/streams.ts'

describe('removal', () => {
  it.each([
    ['2.9.10', 3, 'one by one'],
    ['2.9.17', 3, 'one by one'],
    ['2.8.99', 3, 'one by one'],
    ['1.99.99', 3, 'one by one'],
    ['', 3, 'one by one'],
    ['2.9.18', 3, 'purge'],
    ['2.10.0', 3, 'purge'],
    ['2.12.1-RC.3', 3, 'purge'],
    ['3.0.0', 5, 'purge'],
    ['2.9.10', 1, 'purge'],
  ])('with server %s and %i replicas is %s', (version, replicas, removal) => {
    expect(removalOf(version, replicas)).toBe(removal)
  })
})

describe('the check of a stream', () => {
  const shape: StreamShape = { name: 'S', num_replicas: 1, max_age: 0, deny_purge: false }
  const check = (config: object) => () => checkStream(shape, { config } as StreamInfo)

  it('takes what is as asked for, whatever else the server says', () => {
    expect(check({ name: 'S', num_replicas: 1, max_age: 0, max_msgs: 7 })).not.toThrow()
  })

  it('takes more replicas than asked for, and not fewer', () => {
    expect(check({ name: 'S', num_replicas: 3, max_age: 0 })).not.toThrow()
    expect(check({ name: 'S', num_replicas: 0, max_age: 0 })).toThrow('num_replicas is 0')
  })

  it('refuses a field that the server left out, and one that differs', () => {
    expect(check({ name: 'S', num_replicas: 1 })).toThrow('max_age is undefined instead of 0')
    const purge = { name: 'S', num_replicas: 1, max_age: 0, deny_purge: true }
    expect(check(purge)).toThrow('deny_purge is true instead of false')
  })
})

describe('a leader of a stream that answers', () => {
  const SECOND = 1_000_000_000
  const infoOf = (replicas: number, heardS: number[]) =>
    ({
      config: { num_replicas: replicas },
      cluster: { leader: 'n1', replicas: heardS.map((ago) => ({ active: ago * SECOND })) },
    }) as unknown as StreamInfo

  it.each([
    [3, [0.5, 1], false],
    [3, [0.5, 3_600], false],
    [3, [3.1, 3_600], true],
    [3, [], true],
    [5, [1, 1, 9, 9], false],
    [5, [1, 9, 9, 9], true],
    [1, [], false],
  ])('of %i replicas, who heard of the others %j s ago, may be succeeded: %s', (...given) => {
    const [replicas, heardS, expected] = given
    expect(mayBeSucceeded(infoOf(replicas, heardS))).toBe(expected)
  })
})
