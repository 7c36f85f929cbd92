/**
 * Who is there. Decides: who is taken for alive, by what was heard and by this node's own monotonic
 * clock, and what each said of itself last. Leaves to others: what follows from it (planning.ts).
 */
import type { Clock, Log, Transport } from '../ports/index.ts'
import { pack, type Subjects, unpack } from '../protocol/index.ts'
import type { ClusterLimits } from './limits.ts'
import type { Member } from './placement.ts'
import type { Reports } from './planning.ts'
import type { Life } from './probes.ts'
import { NO_VERSIONS, type Versions, versionPairs, versionsOf } from './versions.ts'
import { isCount, isName, isWeight } from './view.ts'

/** What a node says of itself. */
export interface MemberBeat extends Member {
  bootId: string
  /** The highest view that it has seen. */
  viewNumber: number
  /** The shards that it serves, each with the number of the view by which it claimed. */
  serves: readonly (readonly [shard: number, by: number])[]
  /** How many slots its standbys are behind. */
  lags: readonly (readonly [shard: number, slots: number])[]
  /** The machines that it hosts. */
  machines: Versions
  /** The shards that it cannot take or follow: its store and the journal have parted. */
  refuses: readonly number[]
}

export interface MembersDeps {
  name: string
  bootId: string
  clock: Clock
  log: Log
  transport: Transport
  subjects: Subjects
  limits: ClusterLimits
  /** Of this node, now. */
  describe: () => MemberBeat
  /** Somebody was heard, or time has passed. */
  changed: () => void
}

interface Heard {
  beat: MemberBeat
  serves: ReadonlyMap<number, number>
  lags: ReadonlyMap<number, number>
  refuses: ReadonlySet<number>
  /** As it came, one character per byte; empty of this node's own. */
  text: string
  atMs: number
}

export class Members implements Reports {
  readonly #deps: MembersDeps
  readonly #heard = new Map<string, Heard>()
  /** By `text`: most beats say what the one before said, and need not be read again. */
  readonly #asBefore = new Map<string, Heard>()
  #lastTickMs = 0
  #cancelTick: (() => void) | undefined
  #isBeatPlanned = false
  #subscription: { unsubscribe(): void } | undefined
  #stopped = false

  constructor(deps: MembersDeps) {
    this.#deps = deps
  }

  start(): void {
    const { transport, subjects, clock } = this.#deps
    this.#lastTickMs = clock.monotonic()
    this.#subscription = transport.subscribe(subjects.member(), {}, ({ payload }) => {
      if (!this.#stopped) this.#arrive(payload)
    })
    this.#tick()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTick?.()
    this.#subscription?.unsubscribe()
  }

  /** Says it now, and not only with the next beat: others wait for what has changed. */
  beatSoon(): void {
    if (this.#isBeatPlanned || this.#stopped) return
    this.#isBeatPlanned = true
    this.#deps.clock.defer(() => {
      this.#isBeatPlanned = false
      if (!this.#stopped) this.#beat()
    })
  }

  live(): MemberBeat[] {
    return [...this.#heard.values()].filter((one) => this.#isLive(one)).map(({ beat }) => beat)
  }

  /** Others that live and say that they serve the shard. */
  othersServing(shard: number): string[] {
    const { name } = this.#deps
    return this.live()
      .filter((one) => one.name !== name && this.servesBy(one.name, shard) !== undefined)
      .map((one) => one.name)
  }

  /** The highest view that it has said to have seen; 0 of one that is not heard. */
  viewNumber(name: string): number {
    return this.#report(name)?.beat.viewNumber ?? 0
  }

  /** When it was heard last, by the monotonic clock. */
  heardAtMs(life: Life): number | undefined {
    return this.#heardOf(life)?.atMs
  }

  /** It was asked, and answered: it is there, however slow its heartbeats are. */
  answered(life: Life): void {
    const heard = this.#heardOf(life)
    if (heard) heard.atMs = this.#deps.clock.monotonic()
  }

  /** It is not there any more. Should it be heard again, it is. */
  gone(life: Life): void {
    const heard = this.#heardOf(life)
    if (!heard) return
    this.#forget(heard)
    this.#deps.changed()
  }

  lag(name: string, shard: number): number | undefined {
    return this.#report(name)?.lags.get(shard)
  }

  servesBy(name: string, shard: number): number | undefined {
    return this.#report(name)?.serves.get(shard)
  }

  machines(name: string): Versions {
    return this.#report(name)?.beat.machines ?? NO_VERSIONS
  }

  refuses(name: string, shard: number): boolean {
    return this.#report(name)?.refuses.has(shard) ?? false
  }

  #heardOf({ name, bootId }: Life): Heard | undefined {
    const heard = this.#heard.get(name)
    return heard?.beat.bootId === bootId ? heard : undefined
  }

  #report(name: string): Heard | undefined {
    const heard = this.#heard.get(name)
    return heard && this.#isLive(heard) ? heard : undefined
  }

  #isLive(heard: Heard): boolean {
    const { clock, limits } = this.#deps
    // A tick that is late: this node stood still, and what waits for it is not heard yet.
    const heardUntilMs = Math.min(clock.monotonic(), this.#lastTickMs + 2 * limits.memberBeatMs)
    return heardUntilMs - heard.atMs < limits.memberSilenceMs
  }

  #tick(): void {
    const { clock, limits } = this.#deps
    const now = clock.monotonic()
    const missedMs = now - this.#lastTickMs - limits.memberBeatMs
    // While this node stood still it could hear nobody: that was not their silence.
    if (missedMs > limits.memberBeatMs) {
      for (const heard of this.#heard.values()) heard.atMs = Math.min(now, heard.atMs + missedMs)
    }
    this.#lastTickMs = now
    for (const heard of this.#heard.values()) if (!this.#isLive(heard)) this.#forget(heard)
    this.#cancelTick = clock.after(limits.memberBeatMs, () => this.#tick())
    this.#beat()
  }

  #beat(): void {
    const { transport, subjects, describe } = this.#deps
    const beat = describe()
    // Who does not hear what it is sent must not be taken for one that serves.
    if (transport.connection() !== undefined) transport.publish(subjects.member(), encodeBeat(beat))
    // A node does not depend on hearing itself.
    this.#hear(beat, '')
  }

  #arrive(payload: Uint8Array): void {
    const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString(
      'latin1',
    )
    const asBefore = this.#asBefore.get(text)
    if (asBefore) {
      asBefore.atMs = this.#deps.clock.monotonic()
      return
    }
    const beat = this.#decode(payload)
    if (beat) this.#hear(beat, text)
  }

  #hear(beat: MemberBeat, text: string): void {
    const { serves, lags, refuses } = beat
    const before = this.#heard.get(beat.name)
    if (before) this.#forget(before)
    const said = { serves: new Map(serves), lags: new Map(lags), refuses: new Set(refuses) }
    const heard: Heard = { beat, ...said, text, atMs: this.#deps.clock.monotonic() }
    this.#heard.set(beat.name, heard)
    if (text !== '') this.#asBefore.set(text, heard)
    this.#deps.changed()
  }

  #forget(heard: Heard): void {
    this.#heard.delete(heard.beat.name)
    this.#asBefore.delete(heard.text)
  }

  #decode(payload: Uint8Array): MemberBeat | undefined {
    try {
      const beat = decodeBeat(unpack(payload))
      const { name, bootId } = this.#deps
      if (beat.name !== name) return beat
      if (beat.bootId !== bootId) {
        this.#deps.log.error(
          { name, bootId: beat.bootId },
          'another process has the name of this node',
        )
      }
    } catch (thrown) {
      this.#deps.log.warn({ err: thrown }, 'a heartbeat cannot be read')
    }
    return undefined
  }
}

function encodeBeat(beat: MemberBeat): Uint8Array {
  const { name, bootId, weight, zone, leaving, viewNumber, serves, lags, refuses } = beat
  const machines = versionPairs(beat.machines)
  return pack([name, bootId, weight, zone, leaving, viewNumber, serves, lags, machines, refuses])
}

function decodeBeat(fields: unknown): MemberBeat {
  if (!Array.isArray(fields)) throw new Error('no list of fields')
  const [name, bootId, weight, zone, leaving, viewNumber, ...more] = fields as unknown[]
  const [serves, lags, pairs, refuses] = more
  if (!isName(name) || typeof bootId !== 'string' || !isWeight(weight)) throw new Error('who it is')
  if (zone !== null && typeof zone !== 'string') throw new Error('its zone')
  if (!isCount(viewNumber) || !isPairs(serves) || !isPairs(lags)) throw new Error('its shards')
  if (!Array.isArray(refuses) || !refuses.every(isCount)) throw new Error('its shards')
  const machines = versionsOf(pairs)
  if (!machines) throw new Error('its machines')
  const who = { name, bootId, weight, zone, leaving: leaving === true }
  return { ...who, viewNumber, serves, lags, machines, refuses }
}

function isPairs(value: unknown): value is [number, number][] {
  const isPair = (one: unknown) => Array.isArray(one) && one.length === 2 && one.every(isCount)
  return Array.isArray(value) && value.every(isPair)
}
