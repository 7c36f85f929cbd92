/**
 * The switches as a node sees them. Decides: that what routes and tasks go by is a quarter of a second old at
 * most; that an operator's word is durable before it is answered; that the first values of the configuration
 * are said when a node starts, for as long as it takes. Leaves to others: the values (`storage-switches.ts`).
 */
import { type AppContext, type AppDaemon, type Client, TroupeError } from '../../../src/index.ts'
import {
  SWITCHES_ADDRESS,
  type SwitchesAnswer,
  type SwitchesRecord,
  type SwitchValues,
  valuesOf,
} from './storage-switches.ts'
import type { SwitchName } from './switch-names.ts'

/** Of what is asked for before every step of a task: at most four reads a second. */
const AGE_MAX_MS = 250
const INSTALL_AGAIN_MS = 2_000

export type SwitchesDeps = Pick<AppContext, 'client' | 'clock' | 'log'>

export class Switches {
  readonly #deps: SwitchesDeps
  #values: SwitchValues | undefined
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<SwitchValues> | undefined

  constructor(deps: SwitchesDeps) {
    this.#deps = deps
  }

  async isOn(name: SwitchName): Promise<boolean> {
    const { clock } = this.#deps
    const isFresh = clock.monotonic() - this.#readAt <= AGE_MAX_MS
    if (isFresh && this.#values) return this.#values[name]
    this.#reading ??= this.all().finally(() => {
      this.#reading = undefined
    })
    return (await this.#reading)[name]
  }

  /** As they stand now. */
  async all(): Promise<SwitchValues> {
    const { client, clock } = this.#deps
    const begunAt = clock.monotonic()
    const { context } = await client.get(SWITCHES_ADDRESS)
    const values = valuesOf(context as SwitchesRecord)
    this.#keep(values, begunAt)
    return values
  }

  /** Durable, and on its way to all that subscribed, when it resolves. */
  async set(name: SwitchName, isOn: boolean, author?: string): Promise<SwitchValues> {
    const { client, clock } = this.#deps
    const speaker = author === undefined ? client : client.as(author)
    const values = await ask(speaker, { type: 'SET', name, isOn })
    this.#keep(values, clock.monotonic())
    return values
  }

  /** Says which are open at first, until it is known; it keeps no node from starting. */
  daemon(open: readonly SwitchName[]): AppDaemon {
    const { client, clock, log } = this.#deps
    let isStopped = false
    let cancel = () => {}
    const install = async (): Promise<void> => {
      try {
        await ask(client, { type: 'INSTALL', open: [...open] })
      } catch (thrown) {
        if (isStopped) return
        log.warn({ err: thrown }, 'switches cannot be given their first values yet; tried again')
        cancel = clock.after(INSTALL_AGAIN_MS, () => void install())
      }
    }
    return {
      name: 'storage switches',
      start: install,
      stop: async () => {
        isStopped = true
        cancel()
      },
    }
  }

  /** What was begun to be read before what is known says nothing. */
  #keep(values: SwitchValues, at: number): void {
    if (at < this.#readAt) return
    this.#values = values
    this.#readAt = at
  }
}

/** @throws TroupeError `unavailable` while an operator has paused it */
async function ask(
  client: Client,
  event: { type: 'SET' | 'INSTALL'; [field: string]: unknown },
): Promise<SwitchValues> {
  const answer = (await client.ask(SWITCHES_ADDRESS, event)) as SwitchesAnswer | undefined
  if (answer !== undefined) return answer.values
  throw new TroupeError('unavailable', `${SWITCHES_ADDRESS} is paused or parked: resume it`)
}
