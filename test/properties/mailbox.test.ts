/** The mailbox: first in, first out, and never more than its bounds. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Mailbox, type MailItem } from '../../src/shard/mailbox.ts'

type Step = { do: 'push'; bytes: number } | { do: 'internal' } | { do: 'shift' } | { do: 'drain' }

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('push' as const), bytes: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('internal' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('shift' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drain' as const) }) },
)

const item = (name: string): MailItem => ({
  kind: 'live',
  address: name,
  effectId: '',
  event: { type: 'X' },
})
const nameOf = (found: MailItem | undefined) => (found as { address?: string } | undefined)?.address

/** Like the mailbox, in the plainest way. */
class Plain {
  waiting: { name: string; bytes: number }[] = []

  get bytes(): number {
    return this.waiting.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  takes(bytes: number, countMax: number, bytesMax: number): boolean {
    if (this.waiting.length >= countMax) return false
    // One that is larger than the whole mailbox still gets through an empty one.
    return this.waiting.length === 0 || this.bytes + bytes <= bytesMax
  }
}

it('keeps the order and its bounds, and says busy exactly when it is', () => {
  fc.assert(
    fc.property(
      fc.array(steps, { maxLength: 200 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 150 }),
      (list, mailboxCountMax, mailboxBytesMax) => {
        const mailbox = new Mailbox({ mailboxCountMax, mailboxBytesMax })
        const plain = new Plain()
        for (const [index, step] of list.entries()) {
          const name = `${index}`
          if (step.do === 'push') {
            const takes = plain.takes(step.bytes, mailboxCountMax, mailboxBytesMax)
            const refused = mailbox.push(item(name), step.bytes)
            expect(refused?.code).toBe(takes ? undefined : 'busy')
            expect(refused?.retry ?? true).toBe(true)
            if (takes) plain.waiting.push({ name, bytes: step.bytes })
          } else if (step.do === 'internal') {
            mailbox.pushInternal(item(name))
            plain.waiting.push({ name, bytes: 0 })
          } else if (step.do === 'shift') {
            expect(nameOf(mailbox.shift())).toBe(plain.waiting.shift()?.name)
          } else {
            expect(mailbox.drain().map(nameOf)).toEqual(plain.waiting.map((one) => one.name))
            plain.waiting = []
          }
          expect(mailbox.count).toBe(plain.waiting.length)
        }
      },
    ),
    { numRuns: 300 },
  )
})

it('keeps the order of many thousands', () => {
  const mailbox = new Mailbox({ mailboxCountMax: 100_000, mailboxBytesMax: 1e9 })
  let pushed = 0
  let taken = 0
  for (let round = 0; round < 3_000; round++) {
    for (let n = 0; n < 3; n++) mailbox.push(item(`${pushed++}`), 10)
    for (let n = 0; n < 2; n++) expect(nameOf(mailbox.shift())).toBe(`${taken++}`)
  }
  expect(mailbox.count).toBe(3_000)
})
