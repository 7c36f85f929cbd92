/** When a put is acknowledged and a delete is done. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Budget, Lanes } from '../../../../../machines/storage/plane/access/lanes.ts'
import { inParallel } from '../../../../../machines/storage/plane/access/parallel.ts'
import {
  isReadable,
  type WriteState,
  writeVerdict,
} from '../../../../../machines/storage/plane/access/quorum.ts'
import { CODE_MODES, codeModeOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { canRebuild } from '../../../../../machines/storage/plane/erasure/rebuild-plan.ts'
import { until } from '../../../../waiting.ts'

function states(mode: { data: number; parity: number; local: number }, text: string): WriteState[] {
  const words = { w: 'written', f: 'failed', o: 'open' } as const
  expect(text).toHaveLength(mode.data + mode.parity + mode.local)
  return [...text].map((letter) => words[letter as 'w'])
}

describe('a put', () => {
  it.each([
    ['EC6P3', 'wwwwwwwwo', 'acknowledged'],
    ['EC6P3', 'wwwwwwwwf', 'acknowledged'],
    ['EC6P3', 'wwwwwwwoo', 'open'],
    ['EC6P3', 'wwwwwwwof', 'open'],
    ['EC6P3', 'wwwwwwwff', 'hopeless'],
    ['EC6P3', 'fffffffoo', 'hopeless'],
    // Local parity does not count, neither way.
    ['EC6P3L3', 'wwwwwwwwofff', 'open'],
    ['EC6P3L3', 'wwwwwwwwwfff', 'acknowledged'],
    ['EC6P3L3', 'wwwwwwwwfwww', 'hopeless'],
    ['Replica3', 'wwo', 'open'],
    ['Replica3', 'www', 'acknowledged'],
    ['Replica3', 'wwf', 'hopeless'],
    ['Replica4TwoAZ', 'wwwf', 'acknowledged'],
  ] as const)('of %s with %s is %s', (name, text, verdict) => {
    const mode = codeModeOf(name)
    expect(writeVerdict(mode, states(mode, text))).toBe(verdict)
  })

  it('that is acknowledged can be read from what is written', () => {
    for (const mode of CODE_MODES) {
      const written = Array.from({ length: mode.putQuorum }, (_, at) => at)
      const data = Array.from({ length: mode.data }, (_, at) => at)
      expect(canRebuild(mode, written, data)).toBe(true)
    }
  })
})

describe('a delete', () => {
  const all = [0, 1, 2, 3, 4, 5]

  it('is done when nobody is left who has it, or could make it up', () => {
    const mode = codeModeOf('EC6P3')
    expect(isReadable(mode, all, [], canRebuild)).toBe(false)
    expect(isReadable(mode, all, [6, 7, 8], canRebuild)).toBe(false)
    expect(isReadable(mode, all, [0, 6, 7, 8], canRebuild)).toBe(true)
  })

  it('of an object in one shard is not done while that one is away', () => {
    const mode = codeModeOf('EC6P3')
    expect(isReadable(mode, [0], [1, 2, 3, 4, 5], canRebuild)).toBe(false)
    expect(isReadable(mode, [0], [0], canRebuild)).toBe(true)
    expect(isReadable(mode, [0], [1, 2, 3, 4, 5, 6], canRebuild)).toBe(true)
  })

  it('counts what one AZ can make up by itself', () => {
    const mode = codeModeOf('EC6P3L3')
    // Unit 0 from its AZ: unit 1, parity 6, local parity 9.
    expect(isReadable(mode, [0], [1, 6, 9], canRebuild)).toBe(true)
    expect(isReadable(mode, [0], [2, 6, 9], canRebuild)).toBe(false)
  })

  it('of replicas takes all copies', () => {
    const mode = codeModeOf('Replica3')
    expect(isReadable(mode, [0, 1, 2], [2], canRebuild)).toBe(true)
    expect(isReadable(mode, [0, 1, 2], [], canRebuild)).toBe(false)
  })
})

describe('lanes', () => {
  it('begin only where there is memory, and never wait for others', async () => {
    const budget = new Budget(100)
    const first = new Lanes(budget, { blobBytes: 40, countMax: 3 })
    expect([first.tryEnter(), first.tryEnter(), first.tryEnter()]).toEqual([true, true, false])
    expect(() => new Lanes(budget, { blobBytes: 40, countMax: 3 })).toThrow(
      expect.objectContaining({ code: 'busy' }),
    )
    const entered = first.enter()
    first.leave()
    await entered
    first.leave()
    first.leave()
    first.close()
    expect(budget.bytes).toBe(0)
  })

  it('are as many as they may, whatever memory is left', () => {
    const lanes = new Lanes(new Budget(1_000), { blobBytes: 1, countMax: 2 })
    expect([lanes.tryEnter(), lanes.tryEnter(), lanes.tryEnter()]).toEqual([true, true, false])
  })
})

describe('work in parallel', () => {
  it('is so much at a time, and all of it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(20), fc.integer({ min: 1, max: 5 }), async (count, countMax) => {
        const seen: number[] = []
        let running = 0
        let runningMax = 0
        await inParallel(Array(count).keys(), countMax, async (item) => {
          runningMax = Math.max(runningMax, ++running)
          await Promise.resolve()
          seen.push(item)
          running--
        })
        expect(seen.sort((a, b) => a - b)).toEqual([...Array(count).keys()])
        expect(runningMax).toBeLessThanOrEqual(countMax)
      }),
    )
  })

  it('ends with the first failure, when what runs has ended', async () => {
    const begun: number[] = []
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let isOver = false
    const work = inParallel([0, 1, 2, 3], 2, async (item) => {
      begun.push(item)
      if (item === 0) throw new Error('no')
      await held
    }).finally(() => {
      isOver = true
    })
    work.catch(() => {})
    await until(() => begun.length === 2, { timeoutMs: 5_000 }, 'both to begin')
    expect(isOver).toBe(false)
    release()
    await expect(work).rejects.toThrow('no')
    expect(begun).toEqual([0, 1])
  })
})
