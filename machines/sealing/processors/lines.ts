/**
 * Cuts a stream of bytes into lines. Decides: that a line has a limit, that of a longer one only the
 * head is kept, and that many small pieces cost no more than one large one. Leaves to others: what the
 * lines say.
 */
const NEWLINE = 0x0a
/** Of a line that is too long: enough to find out whom it was meant for. */
const HEAD_BYTES = 4_096

export interface LineSink {
  line(text: string): void
  /** A line over the limit, when its end has come; `head` is its beginning. */
  overlong(head: string): void
}

export class LineCutter {
  readonly #bytesMax: number
  readonly #sink: LineSink
  #pieces: Buffer[] = []
  #bytes = 0
  #isOverlong = false

  constructor(bytesMax: number, sink: LineSink) {
    this.#bytesMax = bytesMax
    this.#sink = sink
  }

  write(chunk: Buffer): void {
    let from = 0
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from)
      if (end < 0) break
      this.#keep(chunk.subarray(from, end))
      this.#finish()
      from = end + 1
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from))
  }

  /** What stands behind the last newline when the stream ends is a line as well. */
  end(): void {
    if (this.#bytes > 0) this.#finish()
  }

  #keep(piece: Buffer): void {
    this.#bytes += piece.length
    if (this.#isOverlong) return
    this.#pieces.push(piece)
    if (this.#bytes <= this.#bytesMax) return
    this.#isOverlong = true
    // A copy, since a part of a buffer would keep all of it.
    this.#pieces = [Buffer.from(Buffer.concat(this.#pieces).subarray(0, HEAD_BYTES))]
  }

  #finish(): void {
    const text = Buffer.concat(this.#pieces).toString('utf8')
    const isOverlong = this.#isOverlong
    this.#pieces = []
    this.#bytes = 0
    this.#isOverlong = false
    if (isOverlong) this.#sink.overlong(text)
    else this.#sink.line(text.endsWith('\r') ? text.slice(0, -1) : text)
  }
}
