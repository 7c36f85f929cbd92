/**
 * Who leads. Decides: when a node claims the next epoch (after a silence of the leader, or as soon as that
 * is known to have ended, or where nobody has ever led), and when a leader may act: while its claim is
 * the highest and it has seen so, by its own monotonic clock and while it could hear the others, not longer
 * ago than half the silence after which others claim. Leaves to others: what a leader does (leader.ts), who
 * has ended (probes.ts).
 *
 * Nothing depends on there being one leader only: two for a moment can waste work, no more.
 */
import type { Clock, Log, Random, Registry, Store, Transport } from '../ports/index.ts'
import { pack, type Subjects, unpack } from '../protocol/index.ts'
import { nodeKey } from '../shard/index.ts'
import type { ClusterLimits } from './limits.ts'
import type { Life } from './probes.ts'
import { isCount, isName } from './view.ts'

export interface ElectionDeps extends Life {
  clock: Clock
  random: Random
  log: Log
  store: Store
  registry: Registry
  transport: Transport
  subjects: Subjects
  limits: ClusterLimits
  /** Whether this node knows everybody who lives; else it would plan without those whom it has not heard. */
  hasListened: () => boolean
  /** This node begins to lead, or ends. */
  changed: () => void
  failed: (why: string) => void
}

const PREFIX = 'leader.'
const EPOCH_KEY = nodeKey('epoch')

export class Election {
  readonly #deps: ElectionDeps
  /** Identifies this life of this node in its claims. */
  readonly #value: Uint8Array
  /** The highest epoch ever seen: claims are pruned and lists go back, so they do not tell it alone. */
  #highest: number
  #leading: { epoch: number; confirmedAtMs: number } | undefined
  #heard: { name: string; bootId: string; epoch: number } | undefined
  /** The epoch that is being claimed; what was sent may land at any time. */
  #claiming: number | undefined
  #isConfirming = false
  #cancelTimer: (() => void) | undefined
  #cancelBeat: (() => void) | undefined
  #subscription: { unsubscribe(): void } | undefined
  #stopped = false

  constructor(deps: ElectionDeps) {
    this.#deps = deps
    this.#value = pack([deps.name, deps.bootId])
    const bytes = deps.store.get(EPOCH_KEY)
    const remembered = bytes ? unpack(bytes) : 0
    this.#highest = isCount(remembered) ? remembered : 0
  }

  /** The epoch of this node, while it leads and may act. Ask anew before everything that it does. */
  get epoch(): number | undefined {
    if (!this.#leading) return undefined
    const ageMs = this.#deps.clock.monotonic() - this.#leading.confirmedAtMs
    return ageMs <= this.#deps.limits.leaderSilenceMs / 2 ? this.#leading.epoch : undefined
  }

  /** Who was heard to lead last. */
  get leader(): (Life & { epoch: number }) | undefined {
    const { name, bootId } = this.#deps
    const epoch = this.epoch
    return epoch === undefined ? this.#heard : { name, bootId, epoch }
  }

  start(): void {
    const { transport, subjects } = this.#deps
    this.#subscription = transport.subscribe(subjects.leader(), {}, ({ payload }) =>
      this.#beatHeard(payload),
    )
    // Where nobody has ever claimed, nobody leads, and there is no silence to wait for.
    if (this.#highest === 0) this.#elect()
    else this.#awaitSilence()
  }

  stop(): void {
    // Nobody has to wait for the silence of this node.
    if (this.#leading && !this.#stopped) this.#say(this.#leading.epoch, 'ends')
    this.#stopped = true
    this.#subscription?.unsubscribe()
    this.#cancelTimer?.()
    this.#cancelBeat?.()
    this.#leading = undefined
  }

  /** An epoch that is known from elsewhere, as from a view. */
  saw(epoch: number): void {
    if (epoch > this.#highest) this.#remember(epoch)
    if (this.#leading && epoch > this.#leading.epoch) this.#stepDown('another node leads')
  }

  /** This epoch ends here; whoever claims the next one goes on. */
  resign(why: string): void {
    if (this.#leading) this.#stepDown(why)
  }

  /** A process that is known to have ended. */
  gone({ name, bootId }: Life): void {
    if (this.#heard?.name === name && this.#heard.bootId === bootId) this.#leaderGone()
  }

  #leaderGone(): void {
    const { random, limits } = this.#deps
    this.#heard = undefined
    if (this.#stopped || this.#leading || this.#claiming !== undefined) return
    if (!this.#deps.hasListened()) return this.#awaitSilence()
    this.#plan(Math.floor(random.fraction() * limits.memberProbeMs), () => this.#elect())
  }

  #beatHeard(payload: Uint8Array): void {
    const beat = decodeBeat(payload)
    const { name, bootId } = this.#deps
    if (this.#stopped || !beat || beat.epoch < this.#highest) return
    if (beat.name === name && beat.bootId === bootId) return
    this.saw(beat.epoch)
    this.#heard = { name: beat.name, bootId: beat.bootId, epoch: beat.epoch }
    if (beat.ends) return this.#leaderGone()
    if (this.#leading || (this.#claiming !== undefined && this.#claiming > beat.epoch)) return
    this.#claiming = undefined
    this.#awaitSilence()
  }

  #awaitSilence(): void {
    const { random, limits } = this.#deps
    const jitterMs = Math.floor(random.fraction() * limits.leaderJitterMs)
    this.#plan(limits.leaderSilenceMs + jitterMs, () => this.#elect())
  }

  /** One timer: for the end of the silence, or for the next try. */
  #plan(delayMs: number, call: () => void): void {
    this.#cancelTimer?.()
    this.#cancelTimer = this.#deps.clock.after(delayMs, () => {
      this.#cancelTimer = undefined
      if (!this.#stopped) call()
    })
  }

  #elect(): void {
    const { registry, limits, transport } = this.#deps
    const highest = this.#highest
    // Should no answer come, it is asked again.
    this.#awaitSilence()
    // It would lead those whom it does not hear.
    if (transport.connection() === undefined) return
    registry.list(PREFIX, (outcome) => {
      // A leader was heard while the list was on its way.
      if (this.#stopped || this.#leading || this.#claiming || this.#highest > highest) return
      if (outcome.kind === 'unknown') {
        return this.#plan(limits.registryRetryMs, () => this.#elect())
      }
      const listed = Math.max(0, ...outcome.entries.map(({ key }) => epochOf(key)))
      if (listed <= this.#highest) return this.#claim(this.#highest + 1)
      // News: whoever claimed it gets the time to be heard.
      this.#remember(listed)
      this.#awaitSilence()
    })
  }

  /** The same claim until its outcome is known: asked again, it says whether the first one landed. */
  #claim(epoch: number): void {
    const { registry, limits } = this.#deps
    this.#claiming = epoch
    this.#awaitSilence()
    registry.claim(`${PREFIX}${epoch}`, this.#value, (outcome) => {
      if (this.#stopped || this.#claiming !== epoch) return
      if (outcome.kind === 'unknown') {
        return this.#plan(limits.registryRetryMs, () => this.#claim(epoch))
      }
      this.#claiming = undefined
      this.#remember(Math.max(this.#highest, epoch))
      const isOurs = outcome.kind === 'won' || Buffer.compare(outcome.value, this.#value) === 0
      // The winner gets the time to be heard.
      if (!isOurs) return this.#awaitSilence()
      this.#cancelTimer?.()
      this.#leading = { epoch, confirmedAtMs: Number.NEGATIVE_INFINITY }
      this.#beat()
    })
  }

  #beat(): void {
    const { clock, limits } = this.#deps
    this.#cancelBeat?.()
    this.#cancelBeat = clock.after(limits.leaderBeatMs, () => this.#beat())
    this.#confirm()
  }

  /** The claims say who leads; a leader is heard only as long as it has seen that they name it. */
  #confirm(): void {
    const { registry, clock, log, transport } = this.#deps
    const leading = this.#leading
    // Who hears nobody takes all for dead; others have to lead if that lasts.
    if (!leading || this.#isConfirming || transport.connection() === undefined) return
    const askedAtMs = clock.monotonic()
    this.#isConfirming = true
    registry.list(PREFIX, (outcome) => {
      this.#isConfirming = false
      if (this.#stopped || this.#leading !== leading || outcome.kind === 'unknown') return
      const epochs = outcome.entries.map(({ key }) => epochOf(key))
      const highest = Math.max(this.#highest, ...epochs)
      if (highest > leading.epoch) return this.saw(highest)
      const own = outcome.entries.find(({ key }) => epochOf(key) === leading.epoch)
      if (!own || Buffer.compare(own.value, this.#value) !== 0) {
        return this.#stepDown('the claim of this epoch is gone')
      }
      const isFirst = leading.confirmedAtMs === Number.NEGATIVE_INFINITY
      leading.confirmedAtMs = askedAtMs
      if (this.epoch === undefined) return
      this.#say(leading.epoch)
      for (const epoch of epochs) {
        if (epoch < leading.epoch - 1) registry.remove(`${PREFIX}${epoch}`, () => {})
      }
      if (!isFirst) return
      log.info({ epoch: leading.epoch }, 'this node leads')
      this.#deps.changed()
    })
  }

  #say(epoch: number, ...more: 'ends'[]): void {
    const { transport, subjects, name, bootId } = this.#deps
    transport.publish(subjects.leader(), pack([epoch, name, bootId, ...more]))
  }

  #stepDown(why: string): void {
    this.#deps.log.info({ epoch: this.#leading?.epoch, why }, 'this node leads no longer')
    this.#leading = undefined
    this.#cancelBeat?.()
    this.#awaitSilence()
    this.#deps.changed()
  }

  #remember(epoch: number): void {
    if (epoch <= this.#highest) return
    this.#highest = epoch
    this.#deps.store.write({
      writes: [[EPOCH_KEY, pack(epoch)]],
      failed: ({ message }) => this.#deps.failed(message),
    })
  }
}

/** 0 for a key that is no claim. */
function epochOf(key: string): number {
  const text = key.slice(PREFIX.length)
  return /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : 0
}

function decodeBeat(payload: Uint8Array) {
  try {
    const [epoch, name, bootId, end] = unpack(payload) as unknown[]
    if (!isCount(epoch) || !isName(name) || typeof bootId !== 'string') return undefined
    return { epoch, name, bootId, ends: end === 'ends' }
  } catch {
    return undefined
  }
}
