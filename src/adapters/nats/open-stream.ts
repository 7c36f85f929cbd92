/**
 * A stream that is there when it is used.
 *
 * Decides: it is created when it is first needed, and again when it is gone, so it fits only what may
 * be lost: whoever needs it finds an empty one. Leaves to others: what stands in it.
 */
import type { StreamInfo } from 'nats'
import type { Log } from '../../ports/index.ts'
import {
  askApi,
  HEADER_BYTES_MAX,
  type PublicationOutcome,
  publish,
  readInfo,
  readMessage,
  type StoredMessage,
  subjectsIn,
} from './api.ts'
import type { Connection } from './connection.ts'
import { checkStream, createStream, removalOf, removeMessage, type StreamShape } from './streams.ts'

export interface OpenStreamDeps {
  connection: Connection
  shape: StreamShape
  log: Log
  timeoutMs: number
}

export class OpenStream {
  readonly #deps: OpenStreamDeps
  /** While there is no reason to doubt that it is there. */
  #info: Promise<StreamInfo> | undefined
  #wasThere = false

  constructor(deps: OpenStreamDeps) {
    this.#deps = deps
  }

  /** Bytes of one message. */
  get bytesMax(): number {
    return this.#deps.connection.payloadBytesMax - HEADER_BYTES_MAX
  }

  /** @throws TroupeError `invalid-config` when there is one that is not as it should be */
  async publish(
    subject: string,
    bytes: Uint8Array,
    afterOfSubject?: number,
  ): Promise<PublicationOutcome> {
    const { connection, shape, timeoutMs } = this.#deps
    const expected = afterOfSubject === undefined ? {} : { afterOfSubject }
    const publication = { stream: shape.name, subject, bytes, timeoutMs, ...expected }
    return this.#use(async () => {
      const outcome = await publish(connection, publication)
      if (outcome.kind === 'unknown') this.#info = undefined
      return outcome
    })
  }

  /** The newest message of a subject. */
  async read(subject: string): Promise<StoredMessage | undefined> {
    const { connection, shape, timeoutMs } = this.#deps
    const query = { last_by_subj: subject }
    return this.#use(() => readMessage(connection, shape.name, query, timeoutMs))
  }

  /** The subjects that match a pattern and have a message, in no order. */
  async subjects(pattern: string): Promise<string[]> {
    const { connection, shape, timeoutMs } = this.#deps
    return this.#use(() => subjectsIn(connection, shape.name, pattern, timeoutMs))
  }

  async removeMessage(sequence: number): Promise<void> {
    const { connection, shape, timeoutMs } = this.#deps
    return this.#use(() => removeMessage(connection, shape.name, sequence, timeoutMs))
  }

  /** Removes every message whose subject matches a pattern. */
  async remove(pattern: string): Promise<void> {
    const { connection, shape, timeoutMs } = this.#deps
    const removal = await this.#use(async ({ config }) =>
      removalOf(connection.nats.info?.version ?? '', config.num_replicas),
    )
    if (removal === 'purge') {
      const request = { filter: pattern }
      await this.#use(() => askApi(connection, `STREAM.PURGE.${shape.name}`, request, timeoutMs))
      return
    }
    for (const subject of await this.subjects(pattern)) {
      const found = await this.read(subject)
      if (found) await this.removeMessage(found.sequence)
    }
  }

  /** Whatever fails is a reason to look whether the stream is there. */
  async #use<T>(work: (info: StreamInfo) => Promise<T>): Promise<T> {
    const info = await this.open()
    try {
      return await work(info)
    } catch (thrown) {
      this.#info = undefined
      throw thrown
    }
  }

  /**
   * Asked by several at once, it is done once.
   * @throws TroupeError `invalid-config` when there is one that is not as it should be
   */
  open(): Promise<StreamInfo> {
    this.#info ??= this.#findOrCreate().catch((thrown: unknown) => {
      this.#info = undefined
      throw thrown
    })
    return this.#info
  }

  async #findOrCreate(): Promise<StreamInfo> {
    const { connection, shape, log, timeoutMs } = this.#deps
    const info = await readInfo(connection, shape.name, timeoutMs)
    if (info) checkStream(shape, info)
    else if (this.#wasThere) {
      log.error(
        { stream: shape.name },
        'a stream is gone, with all that it held: it is created anew',
      )
    } else log.info({ stream: shape.name }, 'a stream is created')
    const opened = info ?? (await createStream(connection, shape, timeoutMs))
    this.#wasThere = true
    return opened
  }
}
