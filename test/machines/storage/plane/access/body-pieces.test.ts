/** Bodies in pieces: all of them in order, held up while nobody takes them, and never whole when broken. */
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { piecesOf } from '../../../../../machines/storage/plane/access/body-pieces.ts'

const PIECE = Buffer.alloc(65_536, 1)

it('gives what comes, piece for piece', async () => {
  const body = new PassThrough()
  const read = taken(piecesOf(body))
  for (let count = 0; count < 40; count++) body.write(Buffer.concat([Buffer.of(count), PIECE]))
  body.end()
  const pieces = await read
  expect(pieces.map((piece) => piece[0])).toEqual(Array.from({ length: 40 }, (_, n) => n))
  expect(pieces.every((piece) => piece.length === PIECE.length + 1)).toBe(true)
})

it('holds the sender up while nobody takes', async () => {
  const body = new PassThrough()
  const pieces = piecesOf(body)
  const first = pieces.next()
  let sent = 0
  const write = () => {
    while (sent < 100) {
      sent++
      if (!body.write(PIECE)) return body.once('drain', write)
    }
    return body.end()
  }
  write()
  await first
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
  expect(sent).toBeLessThan(20)
  expect((await taken(pieces)).length).toBe(99)
})

it('breaks as the body breaks, and ends it when nobody wants more', async () => {
  const body = new PassThrough()
  const read = taken(piecesOf(body))
  body.write(PIECE)
  body.destroy(new Error('cut off'))
  await expect(read).rejects.toThrow('cut off')
  const unwanted = new PassThrough()
  unwanted.write(PIECE)
  for await (const piece of piecesOf(unwanted)) {
    expect(piece.length).toBe(PIECE.length)
    break
  }
  expect(unwanted.destroyed).toBe(true)
})

async function taken(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return all
}
