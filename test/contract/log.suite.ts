/** What every `Log` promises. */
import { describe, expect, it } from 'vitest'
import type { Log } from '../../src/ports/index.ts'

export interface LogHarness {
  log: Log
  /** The lines so far, read back. */
  lines(): Record<string, unknown>[]
}

export function logSuite(name: string, create: () => LogHarness): void {
  describe(`log: ${name}`, () => {
    it('writes a line per call with level, message and fields', () => {
      const { log, lines } = create()
      for (const level of ['debug', 'info', 'warn', 'error'] as const)
        log[level]({ shard: 3 }, `a ${level}`)
      expect(lines().map(({ level, msg, shard }) => [level, msg, shard])).toEqual([
        ['debug', 'a debug', 3],
        ['info', 'a info', 3],
        ['warn', 'a warn', 3],
        ['error', 'a error', 3],
      ])
    })

    it('gives children the fields of their parents', () => {
      const { log, lines } = create()
      log.child({ a: 1 }).child({ b: 2, token: 'hidden' }).info({ c: 3 }, 'x')
      expect(lines()[0]).toMatchObject({ a: 1, b: 2, c: 3 })
      expect(JSON.stringify(lines())).not.toContain('hidden')
    })

    it('takes out secrets at any reasonable depth, and leaves the given fields as they are', () => {
      const { log, lines } = create()
      const deep = {
        token: 'hidden',
        Authorization: 'hidden',
        app_key: 'hidden',
        monkey: 'shown',
        list: [{ password: 'hidden' }, { a: { b: { c: { secret: 'hidden', shard: 7 } } } }],
        map: new Map([['key', 'hidden']]),
      }
      const before = structuredClone(deep)
      log.info({ deep, key: 'hidden', appKey: 'hidden' }, 'x')
      const line = JSON.stringify(lines())
      expect(line).not.toContain('hidden')
      expect(line).toContain('shown')
      expect(line).toContain('"shard":7')
      expect(deep).toEqual(before)
    })

    it('shows errors with message, stack and cause, without their secrets', () => {
      const { log, lines } = create()
      const cause = new Error('the root')
      const error = Object.assign(new Error('what failed', { cause }), {
        code: 'E_X',
        config: { headers: { authorization: 'hidden' } },
      })
      log.error({ err: error, error }, 'x')
      const line = JSON.stringify(lines())
      for (const shown of ['what failed', 'the root', 'E_X', 'log.suite'])
        expect(line).toContain(shown)
      expect(line).not.toContain('hidden')
    })

    it('survives cycles, bytes, bigints and undefined', () => {
      const { log, lines } = create()
      const cycle: Record<string, unknown> = {
        bytes: new Uint8Array(5),
        big: 2n ** 60n,
        none: undefined,
      }
      cycle['self'] = cycle
      log.info({ cycle }, 'x')
      expect(JSON.stringify(lines())).toContain('<5 bytes>')
    })
  })
}
