/**
 * Asking for upkeep. Decides: that a message is an actor by the time this resolves, and that the same again
 * is the same actor. Leaves to others: what becomes of it.
 */
import {
  type AppContext,
  type Client,
  type EventObject,
  TroupeError,
} from '../../../../src/index.ts'
import {
  type RemoveMessage,
  type RepairMessage,
  removalAddress,
  repairAddress,
} from './messages.ts'

/** One that is finished goes between two commits: whoever finds it there finds it gone the next time. */
const TRIES_MAX = 4

export class Upkeep {
  readonly #client: Client

  constructor({ client }: Pick<AppContext, 'client'>) {
    this.#client = client
  }

  /** Durable when it resolves. @throws TroupeError when that is not known */
  async repair({ vid, bid, badIndexes, reason }: Readonly<RepairMessage>): Promise<void> {
    if (badIndexes.length === 0) return
    const ask = { badIndexes, reason }
    const event = { type: 'ASK', ...ask }
    await this.#bring(repairAddress({ vid, bid }), { vid, bid, ...ask }, event)
  }

  /** Durable when it resolves. @throws TroupeError when that is not known */
  async remove({ vid, bid, unitsDone }: Readonly<RemoveMessage>): Promise<void> {
    const event = { type: 'ASK', unitsDone }
    await this.#bring(removalAddress({ vid, bid }), { vid, bid, unitsDone }, event)
  }

  async #bring(address: string, input: object, event: EventObject): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#startOrSend(address, input, event)
        return
      } catch (thrown) {
        const isGone = thrown instanceof TroupeError && GOES_BY.has(thrown.code)
        if (!isGone || tries === TRIES_MAX) throw thrown
      }
    }
  }

  async #startOrSend(address: string, input: object, event: EventObject): Promise<void> {
    try {
      await this.#client.start(address, input)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || thrown.code !== 'already-exists') throw thrown
      await this.#client.send(address, event)
    }
  }
}

const GOES_BY: ReadonlySet<string> = new Set(['unknown-actor', 'finished'])
