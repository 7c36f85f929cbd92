/**
 * A body in the pieces in which it came. Decides: how many bytes of it wait here until somebody takes them.
 * A stream's own iterator joins whatever has piled up into one new buffer, which for large bodies is one
 * more copy of every byte, and garbage as large as the body.
 */
import { finished, type Readable } from 'node:stream'

/** Some pieces of a socket: the next ones come while these are copied. */
const WAITING_BYTES_MAX = 262_144

/** @throws as the body breaks */
export async function* piecesOf(body: Readable): AsyncGenerator<Uint8Array, void, void> {
  let pieces: Uint8Array[] = []
  let bytes = 0
  let end: { error: unknown } | undefined
  let wake = () => {}
  const add = (piece: Uint8Array) => {
    pieces.push(piece)
    bytes += piece.length
    if (bytes >= WAITING_BYTES_MAX) body.pause()
    wake()
  }
  const forget = finished(body, { writable: false }, (error) => {
    end = { error }
    wake()
  })
  body.on('data', add)
  try {
    for (;;) {
      if (pieces.length > 0) {
        const taken = pieces
        pieces = []
        bytes = 0
        yield* taken
        body.resume()
      } else if (end === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      } else if (end.error) throw end.error
      else return
    }
  } finally {
    forget()
    body.off('data', add)
    if (end === undefined) body.destroy()
  }
}
