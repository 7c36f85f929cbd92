/** Which lists the checker of lists leaves out: those of an owner that cannot read what it has. */
import { expect, it } from 'vitest'
import { asked, flushed, known, List, told, turn } from './event-list.ts'

const taken = (node: string, version: number) => (list: List) =>
  list
    .add({ kind: 'node-up', node, version })
    .add({ kind: 'taken', node, shard: 0, slot: 0, view: 1 })

function shownAsParked(ownerVersion: number): List {
  const list = new List().claim().actor({ entries: [turn(1)], version: 2 })
  return taken(
    'n1',
    ownerVersion,
  )(list.add(known(2)).add(flushed(2)))
    .add(asked())
    .add(told('flat/a @1 active parked'))
}

it('an owner of an older version shows as parked what it cannot read', () => {
  expect(shownAsParked(1).found()).not.toContain('lists-are-true')
  expect(shownAsParked(2).found()).toContain('lists-are-true')
})

it('and its rows stay so until the next owner has gone through them', () => {
  const list = taken('n1', 2)(shownAsParked(1)).add(asked()).add(told('flat/a @1 active parked'))
  expect(list.found()).not.toContain('lists-are-true')
})
