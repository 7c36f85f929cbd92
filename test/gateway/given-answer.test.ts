/** How much of an answer is held for its reader while others hold much. */
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { GivenAnswer, HeldBytes, type Part } from '../../src/gateway/given-answer.ts'

const KIB = 1_024
const PART_BYTES_MAX = 64 * KIB
const LIMITS = { partBytesMax: PART_BYTES_MAX, silenceMs: 10_000, gatherMs: 1_000 }

function scene(bytesMax: number) {
  const clock = new VirtualClock()
  const held = new HeldBytes(bytesMax)
  const begin = () => {
    const source = new PassThrough({ highWaterMark: 1_000 * KIB })
    return { source, answer: new GivenAnswer(source, clock, LIMITS, held) }
  }
  return { clock, begin }
}

it('is given as it is when others took the room meanwhile, and the rest later', async () => {
  const { clock, begin } = scene(100 * KIB)
  const { source, answer } = begin()
  const told: Part[] = []
  void answer.part(1)!.then((part) => told.push(part))
  source.write(Buffer.alloc(50 * KIB, 'a'))
  await clock.settle(10)
  expect(told, 'it waits for more').toEqual([])
  for (let n = 0; n < 3; n++) {
    const other = begin()
    other.source.write(Buffer.alloc(200 * KIB))
    await other.answer.part(1)
  }
  source.end(Buffer.alloc(40 * KIB, 'b'))
  await clock.settle(2_000)
  expect(told[0]!.bytes.length).toBe(50 * KIB)
  const texts = [told[0]!]
  for (let n = 2; !texts.at(-1)!.end; n++) texts.push((await answer.part(n))!)
  const whole = Buffer.concat(texts.map(({ bytes }) => bytes)).toString()
  expect(whole).toBe('a'.repeat(50 * KIB) + 'b'.repeat(40 * KIB))
})

it('that is large says its end in a part of its own, so that no part of it is kept', async () => {
  const { begin } = scene(1_000 * KIB)
  const { source, answer } = begin()
  source.end(Buffer.alloc(100 * KIB))
  expect((await answer.part(1))!.bytes.length).toBe(PART_BYTES_MAX)
  const second = await answer.part(2)
  expect([second!.bytes.length, second!.end]).toEqual([36 * KIB, undefined])
  const third = await answer.part(3)
  expect([third!.bytes.length, third!.end]).toEqual([0, true])
})
