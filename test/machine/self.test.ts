import { expect, it } from 'vitest'
import { assign, createActor, createMachine } from 'xstate'
import { addressOf, stepEvent, stepInitial, tell } from '../../src/machine/index.ts'
import { host } from '../shard/support.ts'
import { Pocket } from './support.ts'

const machine = host(
  'm',
  { context: { me: '' }, on: { NOTE: { actions: 'note' }, TELL: { actions: 'tell' } } },
  {
    actions: {
      note: assign({
        me: (({ self }: { self: { sessionId: string } }) => addressOf(self)) as never,
      }),
      tell: tell((({ self }: { self: { sessionId: string } }) => ({
        to: 'pool/p',
        event: { type: 'ACQUIRE', holder: addressOf(self) },
      })) as never),
    },
  },
)

it('an actor knows its own address, in assigns and in what it tells', () => {
  const actor = new Pocket(machine)
  expect(actor.send('NOTE').snapshot.context).toMatchObject({ me: 'm/x' })
  expect(actor.send('TELL').effects).toMatchObject([
    { kind: 'tell', event: { type: 'ACQUIRE', holder: 'm/x' } },
  ])
})

it('a child knows the whole of it', () => {
  const { chart } = new Pocket(machine).hosted
  const child = { id: 'c', address: 'm/x/c', hasParent: true }
  const first = stepInitial(chart, undefined, child)
  if (first.kind === 'failed') throw new Error(first.message)
  const next = stepEvent(chart, first.snapshot, { type: 'NOTE' }, child)
  expect(next).toMatchObject({ snapshot: { context: { me: 'm/x/c' } } })
})

it('a chart that nobody hosts is told so, and not given an id that means nothing', () => {
  const plain = createMachine({
    context: ({ self }: { self: { sessionId: string } }) => ({ me: addressOf(self) }),
  } as never)
  const actor = createActor(plain)
  expect(actor.getSnapshot()).toMatchObject({
    status: 'error',
    error: { message: expect.stringContaining('a machine that Troupe hosts') },
  })
})
