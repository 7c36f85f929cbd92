/** Addresses: one canonical text per actor, whatever its id holds, and a shard that never changes. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  canonicalAddress,
  childOf,
  DEFAULT_LIMITS,
  formatAddress,
  isChild,
  isMachineName,
  lastName,
  machineOf,
  parentOf,
  parseAddress,
  shardOf,
  TroupeError,
  toSubjectToken,
} from '../../src/protocol/index.ts'
import { childIds, ids, machineNames } from './arbitraries.ts'

const paths = fc.array(childIds, { maxLength: 4 })

function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof TroupeError) return error.code
    throw error
  }
  return 'nothing thrown'
}

describe('the text form', () => {
  it('gives back every legal name', () => {
    fc.assert(
      fc.property(machineNames, ids, paths, (machine, id, path) => {
        const text = formatAddress(machine, id, path)
        expect(parseAddress(text)).toEqual({ machine, id, path })
        expect(canonicalAddress(text)).toBe(text)
      }),
    )
  })

  it('is one printable word of ASCII, with a slash only between its parts', () => {
    fc.assert(
      fc.property(machineNames, ids, paths, (machine, id, path) => {
        const text = formatAddress(machine, id, path)
        expect(text).toMatch(/^[\x21-\x7e]+$/)
        expect(text.split('/')).toHaveLength(2 + path.length)
      }),
    )
  })

  it.each([
    ['job/42', 'job/42'],
    ['job/a%2fb', 'job/a%2Fb'],
    ['job/%41%2e', 'job/A.'],
    ['job/a b', 'job/a%20b'],
    ['job/é', 'job/%C3%A9'],
    ['job/%c3%a9', 'job/%C3%A9'],
    ['job/100%25', 'job/100%25'],
    ['job/😀/x y', 'job/%F0%9F%98%80/x%20y'],
    ["agent/192.168.6.116:80@a~b+c,d=!$&'()*;-_", "agent/192.168.6.116:80@a~b+c,d=!$&'()*;-_"],
    [`job/${'a'.repeat(65)}`, `job/${'a'.repeat(65)}`],
  ])('%s is canonically %s', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical)
    expect(canonicalAddress(canonical)).toBe(canonical)
  })

  it('does not normalise Unicode: composed and decomposed ids are two actors', () => {
    expect(canonicalAddress('job/\u00e9')).not.toBe(canonicalAddress('job/e\u0301'))
  })
})

describe('what is no address', () => {
  it.each([
    ['', 'nothing'],
    ['job', 'no id'],
    ['job/', 'an empty id'],
    ['/42', 'no machine'],
    ['job//child', 'an empty id before a child'],
    ['job/42/', 'an empty child'],
    ['1job/42', 'a machine that begins with a digit'],
    ['jo.b/42', 'a machine with a dot'],
    ['jöb/42', 'a machine beyond ASCII'],
    [`${'m'.repeat(65)}/42`, 'a machine of 65 characters'],
    ['job%2F42', 'an escaped slash only'],
    ['job/4%2', 'half an escape'],
    ['job/%zz', 'an escape that is none'],
    ['job/%FF', 'an escape that is not UTF-8'],
    ['job/%ED%A0%80', 'an escaped surrogate'],
    ['job/a\nb', 'a line break'],
    ['job/%00', 'an escaped control character'],
    ['job/\u0085', 'a control character beyond ASCII'],
    ['job/\ud800', 'half a surrogate pair'],
    ['job/\udc00x', 'the other half'],
    [`job/${'a'.repeat(257)}`, 'an id of 257 bytes'],
    [`job/${'é'.repeat(129)}`, 'an id of 258 bytes in 129 characters'],
    ['job/1/2/3/4/5/6/7/8/9/10', 'a child nine deep'],
    [`job/${`${'a'.repeat(250)}/`.repeat(5)}a`, 'an address of more than 1,024 bytes'],
  ])('%j: %s', (text) => {
    expect(codeOf(() => parseAddress(text))).toBe('invalid-address')
    expect(codeOf(() => canonicalAddress(text))).toBe('invalid-address')
  })

  it('refuses the same raw names when an address is built', () => {
    for (const id of ['', 'a\u0000', '\ud800', 'a'.repeat(257)]) {
      expect(codeOf(() => formatAddress('job', id))).toBe('invalid-address')
      expect(codeOf(() => formatAddress('job', '1', [id]))).toBe('invalid-address')
      expect(codeOf(() => childOf('job/1', id, DEFAULT_LIMITS))).toBe('invalid-address')
    }
    expect(codeOf(() => formatAddress('no job', '1'))).toBe('invalid-address')
  })

  it('takes names that reach their limits exactly', () => {
    for (const id of ['a'.repeat(256), 'é'.repeat(128), '😀'.repeat(64)]) {
      expect(parseAddress(formatAddress('job', id)).id).toBe(id)
    }
    expect(isMachineName('m'.repeat(64))).toBe(true)
    expect(isMachineName('m'.repeat(65))).toBe(false)
    expect(parseAddress('job/1/2/3/4/5/6/7/8/9').path).toHaveLength(DEFAULT_LIMITS.childDepthMax)
  })

  it('says what is wrong without repeating a long input', () => {
    const refused = () => parseAddress(`job/${'x'.repeat(5_000)}`)
    expect(refused).toThrow(/at most 256 bytes \(idBytesMax\), this one has 5000/)
    try {
      refused()
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(300)
    }
  })

  it('any text is either canonicalised for good or refused as invalid-address', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const address = `job/${text}`
        const code = codeOf(() => canonicalAddress(address))
        if (code === 'nothing thrown') {
          const canonical = canonicalAddress(address)
          expect(canonicalAddress(canonical)).toBe(canonical)
        } else expect(code).toBe('invalid-address')
      }),
    )
  })
})

describe('families', () => {
  it('a child knows its parent, its machine and its name', () => {
    fc.assert(
      fc.property(machineNames, ids, paths, childIds, (machine, id, path, child) => {
        const parent = formatAddress(machine, id, path)
        const address = childOf(parent, child, DEFAULT_LIMITS)
        expect(address).toBe(formatAddress(machine, id, [...path, child]))
        expect(parentOf(address)).toBe(parent)
        expect(machineOf(address)).toBe(machine)
        expect(lastName(address)).toBe(child)
        expect(isChild(address)).toBe(true)
      }),
    )
  })

  it('a root has no parent', () => {
    const root = formatAddress('job', 'a/b')
    expect(isChild(root)).toBe(false)
    expect(parentOf(root)).toBeUndefined()
    expect(lastName(root)).toBe('a/b')
  })

  it('children go no deeper than the limit', () => {
    const deepest = formatAddress('job', '1', Array<string>(DEFAULT_LIMITS.childDepthMax).fill('c'))
    expect(codeOf(() => childOf(deepest, 'c', DEFAULT_LIMITS))).toBe('invalid-address')
    const long = formatAddress('job', 'a'.repeat(256), ['b'.repeat(256), 'c'.repeat(256)])
    expect(codeOf(() => childOf(long, 'd'.repeat(256), DEFAULT_LIMITS))).toBe('invalid-address')
  })
})

describe('subject tokens', () => {
  it('hold no character that NATS reserves, and lose nothing', () => {
    fc.assert(
      fc.property(ids, (id) => {
        const token = toSubjectToken(id)
        expect(token).toMatch(/^[^\s.*>]+$/)
        expect(decodeURIComponent(token)).toBe(id)
      }),
    )
  })

  it('are golden', () => {
    expect(toSubjectToken('192.168.6.116')).toBe('192%2E168%2E6%2E116')
    expect(toSubjectToken('a b>*/%')).toBe('a%20b%3E%2A%2F%25')
  })
})

describe('shards', () => {
  /** Part of the format on disk: a change here loses every actor that exists. */
  it.each([
    ['job/1', 23, 671],
    ['job/42', 55, 271],
    ['order/a%2Fb', 2, 842],
    ['m/%E2%82%AC', 58, 18],
    ['agent/192.168.6.116', 62, 710],
    ['workflow/2026-01-01_x:y', 20, 428],
    ['pool/w1~sealing', 41, 97],
    ['sealing-thread/w1~store1', 41, 97],
  ])('%s is on shard %i of 64 and %i of 1000, for ever', (address, of64, of1000) => {
    expect(shardOf(address, 64)).toBe(of64)
    expect(shardOf(address, 1_000)).toBe(of1000)
  })

  it('actors whose ids have the same part before a ~ live together, whatever their machines', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z0-9.-]{1,20}$/),
        ids,
        ids,
        fc.integer({ min: 1, max: 4_096 }),
        (group, one, other, count) => {
          const shard = shardOf(formatAddress('pool', `${group}~${one}`), count)
          expect(shardOf(formatAddress('thread', `${group}~${other}`), count)).toBe(shard)
          expect(shardOf(formatAddress('thread', `${group}~${other}`, ['child~x']), count)).toBe(
            shard,
          )
        },
      ),
    )
  })

  it('groups are spread as actors are', () => {
    const counts = new Array<number>(64).fill(0)
    for (let i = 0; i < 64_000; i++) counts[shardOf(`thread/worker-${i}~store1`, 64)]!++
    expect(Math.min(...counts)).toBeGreaterThan(840)
    expect(Math.max(...counts)).toBeLessThan(1_160)
  })

  it('a ~ at the beginning of an id, or in the name of a child, groups nothing', () => {
    const shardsOf = (addressOf: (n: number) => string) =>
      new Set(Array.from({ length: 100 }, (_, n) => shardOf(addressOf(n), 64))).size
    expect(shardsOf((n) => `job/~${n}`)).toBeGreaterThan(32)
    expect(shardOf('job/1/a~b', 1_000)).toBe(shardOf('job/1', 1_000))
  })

  it('children live with their root', () => {
    fc.assert(
      fc.property(
        machineNames,
        ids,
        paths,
        fc.integer({ min: 1, max: 4_096 }),
        (machine, id, path, count) => {
          const shard = shardOf(formatAddress(machine, id), count)
          expect(shardOf(formatAddress(machine, id, path), count)).toBe(shard)
          expect(shard).toBeGreaterThanOrEqual(0)
          expect(shard).toBeLessThan(count)
        },
      ),
    )
  })

  it.each([
    ['a running number', (i: number) => `job/${i}`],
    ['a padded number', (i: number) => `order/${String(i).padStart(10, '0')}`],
    ['a date and a number', (i: number) => `segment/2026-01-01T00:00:00.${i}`],
    ['an IP address', (i: number) => `agent/10.0.${i >> 8}.${i & 255}`],
    ['a machine of its own', (i: number) => `m${i}/one`],
  ])('ids that differ in %s spread evenly over 64 shards', (_what, addressOf) => {
    const counts = Array<number>(64).fill(0)
    for (let i = 0; i < 64_000; i++) counts[shardOf(addressOf(i), 64)]!++
    // A fair die stays within 1000 ± 160 (five standard deviations) for each of the 64.
    expect(Math.min(...counts)).toBeGreaterThan(840)
    expect(Math.max(...counts)).toBeLessThan(1_160)
  })
})
